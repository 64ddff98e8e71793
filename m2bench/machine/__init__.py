"""The machine around a trial, asked without torch."""
