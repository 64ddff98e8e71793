"""The trading system behind the interface of a system under test."""
