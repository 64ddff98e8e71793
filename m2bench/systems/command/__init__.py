"""A user's command line as the system under test."""
