"""Everything that depends on the device torch computes on."""
