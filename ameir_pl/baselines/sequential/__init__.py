"""Baselines that rank the next item."""
