"""What every room shares: what a run is asked to do, what it finds, options, errors, files."""
