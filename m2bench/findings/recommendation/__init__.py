"""Which layers to switch on, and how sure that is."""
