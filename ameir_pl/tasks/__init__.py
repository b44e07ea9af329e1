"""LightningModules: fitting any model, training a supernet fairly."""
