"""For services that use the oslo libraries, and for the tools of these."""
