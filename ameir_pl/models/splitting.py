"""One fair update for the price of one path: the batch is split among the paths, embeddings are looked up once."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor

from ameir_pl.errors import AmeirError
from ameir_pl.models.ameir import Ameir, Inputs, groups_of, hidden_layers
from ameir_pl.ranks import rank, world
from ameir_pl.space.architecture import Architecture


def predict_split(model: Ameir, x: Inputs, paths: Sequence[Architecture]) -> Tensor:
    """Run row group j with path j and return the outputs in row order.

    The groups are contiguous and differ by at most one row; for interactions (many paths, few rows each) row i belongs
    to path i modulo m. Whatever the paths have in common is computed once for all rows.

    Args:
        model: the supernet.
        x: B embedded rows.
        paths: m architectures that differ in one of blocks, interactions, MLP.

    Raises:
        AmeirError: fewer rows than paths.
    """
    if len(x) * world() < len(paths):
        raise AmeirError(f"fairness=split splits a batch among {len(paths)} paths, but this one has "
                         f"{len(x) * world()} rows. Raise dataset.train.batch_size where there are more train rows, "
                         "else use fairness=full or fairness=uniform.")
    if len({p.interactions for p in paths}) > 1:
        return _split_interactions(model, x, paths)
    sizes = group_sizes(len(x), len(paths), rank(), world())
    if len({p.blocks for p in paths}) == 1:
        h_a = model.behavior(x, paths[0].blocks)
    else:
        own = list(zip(x.split(sizes), paths, strict=True))
        if x.lengths(groups_of(sizes[0])) is None:
            h_a = model.pooling(torch.cat([model.run_blocks(part, p.blocks) for part, p in own]), x.mask, x.target)
        else:  # pooled path by path, each on the positions that its groups keep
            h_a = torch.cat([model.behavior(part, p.blocks) for part, p in own])  # type: ignore[misc]
    if len({p.mlp for p in paths}) == 1:
        return model.aggregate(x, h_a, paths[0])
    return _split_mlps(model, x, h_a, paths, sizes)


def group_sizes(rows: int, paths: int, rank: int = 0, ranks: int = 1) -> list[int]:
    """Return how many rows each path gets: all of them together, differing by at most one.

    With several ranks: how many of its ``rows`` a rank gives to each path, where row i of rank r is row i * ranks + r
    of the batch that all share.
    """
    ends = [rows * ranks * j // paths for j in range(paths + 1)]
    own = [-(-(end - rank) // ranks) for end in ends]  # rows of this rank before each end
    return [after - before for before, after in zip(own, own[1:], strict=False)]


def _split_mlps(model: Ameir, x: Inputs, h_a: Tensor | None, paths: Sequence[Architecture], sizes: list[int]) -> Tensor:
    """Step 3: the hidden layers of each path on its own rows; h0 and the shortcut, which they share, for all rows."""
    if model.which(paths[0].interactions) is not None:
        raise AmeirError("Paths that differ in their MLP run with all interactions of the model.")
    p_b = model.interactions(x.fields)
    shortcut = model.shortcut(torch.cat([x.fields, p_b], 1)) if model.capacity.shortcut else None
    shortcuts = [None] * len(paths) if shortcut is None else shortcut.split(sizes)
    return torch.cat([model.head(model.mlp(h_0, hidden_layers(p.mlp)), own) for h_0, p, own in
                      zip(model.h0(x, h_a, p_b).split(sizes), paths, shortcuts, strict=True)])


def _split_interactions(model: Ameir, x: Inputs, paths: Sequence[Architecture]) -> Tensor:
    """Step 2: the first hidden layer is the projection of what all paths share plus that of the path's interaction."""
    if any(len(p.interactions) != 1 for p in paths) or len({(p.blocks, p.mlp) for p in paths}) > 1:
        raise AmeirError("Paths that differ in interactions have one interaction each and share the rest.")
    m, rows = len(paths), len(x)
    if world() > 1:  # row i is row i * ranks + rank of the batch that all share
        paths = [paths[(c * world() + rank()) % m] for c in range(m // gcd(m, world()))]
        m = len(paths)
    each = -(-rows // m)  # rows a path gets, rounded up; the surplus is cut off at the end
    which = model.places([i for p in paths for i in p.interactions])
    layers = hidden_layers(paths[0].mlp)
    h_a = model.behavior(x, paths[0].blocks)
    shared = model.without_interactions(x, h_a, layers[0][0])  # (B, U)
    own = which.repeat(each)[:rows]  # (B,) row i takes path i % m
    products = model.interactions.one_each(x.fields, own)  # (B, K)
    padded = torch.nn.functional.pad(products, (0, 0, 0, each * m - rows))
    grouped = padded.view(each, m, -1).transpose(0, 1)  # (m, rows of a path, K)
    projected = torch.bmm(grouped, model.projections(which, layers[0][0]))  # (m, rows of a path, U)
    return model.head(model.mlp.forward_from(
        shared + projected.transpose(0, 1).reshape(each * m, -1)[:rows], layers), None)
