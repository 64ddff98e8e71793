"""What a run found: the types that are written as ``summary.json``."""
