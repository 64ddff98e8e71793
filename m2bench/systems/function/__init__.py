"""A user's function as the system under test."""
