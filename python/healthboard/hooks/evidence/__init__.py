"""Hooks that record operations, one module for each library."""
