"""The search space as plain values: standard library only, so that it can be read and tested without torch."""
