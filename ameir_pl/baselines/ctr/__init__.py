"""Baselines that predict clicks."""
