"""What every room shares: errors, what a run is asked to do, folders."""
