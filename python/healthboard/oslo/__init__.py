"""Integration with the oslo libraries and their tools."""
