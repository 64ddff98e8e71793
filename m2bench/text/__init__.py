"""How figures and tables are written."""
