"""Nearest neighbours among features: exact or approximate, between two sets or within one."""
