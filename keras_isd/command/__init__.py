"""The command `keras-isd`: a file for each of its parts, thin over the package's functions."""
