"""Argument, image, batch and feature checks; each error names the argument and its value."""
