"""Carries a plan out and stores what is measured."""
