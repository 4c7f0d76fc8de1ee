"""The HTML page to explore a set of images in a browser."""
