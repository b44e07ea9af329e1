"""Layers of the AMEIR backbone. They know nothing of search: what varies between children is an argument.

Symbols in shapes: B batch, T sequence length, N non-sequential fields, N_a fields of one behavior element,
K embedding size, D = N_a·K width of the behavior network, M interactions.
"""
