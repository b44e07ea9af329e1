"""Bundles: a model and what is needed to run it."""
