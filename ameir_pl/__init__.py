"""AMEIR-PL: search the behavior blocks, the feature interactions and the MLP of a recommender."""

__version__ = "0.1.0"
