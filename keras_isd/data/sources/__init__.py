"""Image sources, from which images are read by row number in any order."""
