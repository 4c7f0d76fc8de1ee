"""Nearest neighbours among features: exact, approximate, and of a set within itself."""
