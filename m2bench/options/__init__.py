"""What can be asked for: options, each declared once, the systems under test, what a run is to do."""
