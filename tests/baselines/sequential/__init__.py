"""Baselines that rank next items."""
