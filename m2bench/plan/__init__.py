"""Which trials, in which order, within which budget. Pure."""
