"""Image sources: images that can be read by row number, in any order."""
