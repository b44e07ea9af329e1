"""Tests of the generators of planted data."""
