"""Stored references: how fast the code was, as small JSON files that are committed and reviewed like code."""
