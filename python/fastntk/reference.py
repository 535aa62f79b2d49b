"""Slow twin (being written)."""
