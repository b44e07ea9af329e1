"""AMEIR's backbone (paper, Sec. 2.1): embedding, behavior blocks, interactions, aggregation MLP with SE shortcut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.models.capacity import Capacity, aggregation_width, segments
from ameir_pl.nn.block import BuildingBlock
from ameir_pl.nn.elastic import ElasticMlp
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.hadamard import HadamardProducts
from ameir_pl.nn.heads import CtrHead, RetrievalHead
from ameir_pl.nn.history import HistoryInput
from ameir_pl.nn.initialization import EMBEDDING_BOUND
from ameir_pl.nn.pooling import HistoryPooling
from ameir_pl.nn.squeeze_excitation import SqueezeExcitation
from ameir_pl.schema import Schema
from ameir_pl.space.architecture import Architecture, Block, Interaction, MlpLayer

GROUPS, GROUP_ROWS = 4, 20
"""Groups of rows by the length of their histories, as most are much shorter than the longest: so many at most, and of
so many rows at least."""
OF_SUM = 0.3
"""What the query of a next item starts with of the sum over the history, beside the whole last state."""
Statistics = list[tuple[Tensor, Tensor] | None]
"""Mean and variance for the Dice of each hidden layer."""


@dataclass(slots=True)
class Inputs:
    """What Stage 0 makes of a batch; children that share embeddings share it.

    Args:
        fields: (B, N, K) embeddings e_b.
        history: (B, T, D) embeddings of the behaviors, D = N_a * K; zero at padding. None without behaviors.
        mask: (B, T) bool; at least one True a row.
        target: (B, D) what each behavior is compared with; None without a target.
        dense: (B, number of dense fields).
    """

    fields: Tensor
    history: Tensor | None
    mask: Tensor | None
    target: Tensor | None
    dense: Tensor

    def __len__(self) -> int:
        return self.fields.shape[0]

    def split(self, sizes: list[int]) -> list[Inputs]:
        """Return groups of consecutive rows. One torch.split a tensor: slices would each fill a gradient of B rows."""
        def parts(tensor: Tensor | None) -> Sequence[Tensor | None]:
            return [None] * len(sizes) if tensor is None else tensor.split(sizes)

        return [Inputs(fields, history, mask, target, dense) for fields, history, mask, target, dense in
                zip(self.fields.split(sizes), parts(self.history), parts(self.mask), parts(self.target),
                    self.dense.split(sizes), strict=True)]

    def lengths(self, groups: int) -> tuple[Tensor, list[int], list[int]] | None:
        """Return the rows in the order of their histories' lengths, the sizes of that many groups, and their longest.

        None where groups would not spare at least a quarter of the positions, and on other devices than CPU, which
        would have to wait for the lengths.
        """
        mask = self.mask
        if mask is None or groups < 2 or mask.device.type != "cpu" or torch.compiler.is_compiling():
            return None
        lengths, order = torch.sort(mask.sum(1), stable=True)
        sizes = [len(part) for part in order.split(-(-len(order) // groups))]
        longest = lengths[torch.tensor(sizes).cumsum(0) - 1].tolist()
        if sum(rows * length for rows, length in zip(sizes, longest, strict=True)) > 0.75 * mask.numel():
            return None
        return order, sizes, longest

    def by_length(self) -> tuple[list[Inputs], Tensor] | None:
        """Return groups of rows of similar history, cut to each group's longest, and each row's place among them.

        The groups hold what blocks and pooling read; fields and dense are left out. None where :meth:`lengths` is.
        """
        plan = self.lengths(groups_of(len(self)))
        if plan is None or self.history is None or self.mask is None:
            return None
        order, sizes, longest = plan
        histories, masks = (t.index_select(0, order).split(sizes) for t in (self.history, self.mask))
        targets = [None] * len(sizes) if self.target is None else self.target.index_select(0, order).split(sizes)
        groups = [Inputs(self.fields[:0], h[:, :n], m[:, :n], t, self.dense[:0])
                  for h, m, t, n in zip(histories, masks, targets, longest, strict=True)]
        return groups, torch.argsort(order)

    @classmethod
    def join(cls, parts: Sequence[Inputs]) -> Inputs:
        """Return the rows of all parts; histories, trimmed to each batch's longest, are padded to one length."""
        longest = max((x.history.shape[1] for x in parts if x.history is not None), default=0)

        def joined(name: str) -> Tensor | None:
            tensors = [getattr(x, name) for x in parts]
            if tensors[0] is None:
                return None
            if name in ("history", "mask"):
                tensors = [torch.cat([t, t.new_zeros(t.shape[0], longest - t.shape[1], *t.shape[2:])], 1)
                           for t in tensors]
            return torch.cat(tensors)

        return cls(*(joined(n) for n in ("fields", "history", "mask", "target", "dense")))  # type: ignore[arg-type]


class Ameir(nn.Module):
    """Every architecture that ``capacity`` holds weights for; which one runs is an argument, never a state.

    Args:
        schema: fields and vocabularies of the dataset.
        capacity: the choices to hold weights for.
        embedding_size: K.
        block_dropout: dropout after each block's activation.
        mlp_dropout: dropout after each hidden layer's activation.
        embedding_dropout: dropout of the embedded history.
        embedding_bound: embeddings start uniform within ± this.

    Example:
        >>> logits = Ameir(schema, Capacity.of(architecture), embedding_size=4)(batch, architecture)  # (B,)
    """

    def __init__(self, schema: Schema, capacity: Capacity, *, embedding_size: int, block_dropout: float = 0.0,
                 mlp_dropout: float = 0.0, embedding_dropout: float = 0.0,
                 embedding_bound: float = EMBEDDING_BOUND) -> None:
        super().__init__()
        self.schema, self.capacity, self.embedding_size = schema, capacity, embedding_size
        self.block_dropout, self.mlp_dropout, self.embedding_dropout = block_dropout, mlp_dropout, embedding_dropout
        size = embedding_size
        self.embedding = FieldEmbedding(schema, size, embedding_dropout)
        self.embedding.rescale(embedding_bound)
        self.reads_history = capacity.behavior and bool(schema.behaviors)
        if self.reads_history:
            width = len(schema.behaviors) * size
            self.history = HistoryInput(schema, size)
            self.blocks = nn.ModuleList(BuildingBlock(width, layers, norms, dropout=block_dropout)
                                        for layers, norms in zip(capacity.blocks, capacity.norms, strict=True))
            self.pooling = HistoryPooling(width, schema.has_target)
        self.interactions = HadamardProducts(schema.field_names, capacity.interactions)
        self.mlp = ElasticMlp(aggregation_width(schema, size, capacity.interactions, capacity.behavior), capacity.mlp,
                              capacity.activations, dropout=mlp_dropout)
        if capacity.shortcut:
            self.shortcut = SqueezeExcitation(len(schema.fields) + len(capacity.interactions), size)
        in_mlp = capacity.mlp[-1] if capacity.mlp else self.mlp.in_features
        in_shortcut = size if capacity.shortcut else 0
        self.head: CtrHead | RetrievalHead = (CtrHead(in_mlp, in_shortcut) if schema.task == "ctr" else
                                              RetrievalHead(in_mlp, in_shortcut, size))
        place = schema.item_place
        if isinstance(self.head, RetrievalHead) and self.reads_history and not capacity.mlp and place is not None:
            # h_a begins with [sum over the history, its last state], D columns each.
            self.head.start_as_items({place * size: OF_SUM, width + place * size: 1.0})
        self._places = {i: n for n, i in enumerate(capacity.interactions)}
        end = self.mlp.in_features - len(schema.dense)
        self._interaction_columns = (end - len(capacity.interactions) * size, end)

    def forward(self, batch: Batch, architecture: Architecture) -> Tensor:
        """Return logits (B,) for CTR, query vectors (B, K) for retrieval."""
        return self.predict(self.embed(batch), architecture)

    def predict(self, x: Inputs, architecture: Architecture, statistics: Statistics | None = None) -> Tensor:
        """Run one architecture on embedded rows. ``statistics`` replace Dice's running ones (a scored child)."""
        return self.aggregate(x, self.behavior(x, architecture.blocks), architecture, statistics)

    def embed(self, batch: Batch) -> Inputs:
        """Stage 0: look every embedding up once.

        In eval mode ids outside their vocabulary are ``OOV``, and dense values are finite (see ``Batch.served``).
        """
        batch = batch.with_position() if self.training else batch.served()
        fields = self.embedding.fields(batch.fields)  # (B, N, K)
        if not self.reads_history:
            return Inputs(fields, None, None, None, batch.dense)
        history, mask, target = self.history(self.embedding.behaviors(batch.behaviors), batch.mask, fields)
        return Inputs(fields, history, mask, target, batch.dense)

    def behavior(self, x: Inputs, blocks: Sequence[Block]) -> Tensor | None:
        """Stage 1: h_a (B, 2D or 3D) of the history, None where there is none."""
        if x.history is None:
            return None
        groups = x.by_length()
        if groups is None:
            return self.pooling(self.run_blocks(x, blocks), x.mask, x.target)
        parts, places = groups
        return torch.cat([self.pooling(self.run_blocks(p, blocks), p.mask, p.target) for p in parts])[places]

    def run_blocks(self, x: Inputs, blocks: Sequence[Block]) -> Tensor:
        """Return the last block's output (B, T, D)."""
        if len(blocks) != len(self.blocks):
            raise AmeirError(f"The model has {len(self.blocks)} blocks, the architecture {len(blocks)}.")
        h = x.history
        if h is None:
            raise AmeirError("There is no history for the blocks to read.")
        for module, block in zip(self.blocks, blocks, strict=True):
            h = module(h, x.mask, x.target, layer=block.layer, activation=block.activation, norm=block.norm)
        return h

    def aggregate(self, x: Inputs, h_a: Tensor | None, architecture: Architecture,
                  statistics: Statistics | None = None) -> Tensor:
        """Stages 2 and 3: interactions, MLP, SE shortcut and head."""
        which = self.which(architecture.interactions)
        p_b = self.interactions(x.fields, which)  # (B, M, K)
        layers = hidden_layers(architecture.mlp)
        if which is None:
            h = self.mlp(self.h0(x, h_a, p_b), layers, statistics)
        else:
            first = self.with_interactions(self.without_interactions(x, h_a, layers[0][0]), p_b, which)
            h = self.mlp.forward_from(first, layers, statistics)
        shortcut = self.shortcut(torch.cat([x.fields, p_b], 1)) if self.capacity.shortcut else None
        return self.head(h, shortcut)

    def h0(self, x: Inputs, h_a: Tensor | None, p_b: Tensor) -> Tensor:
        """Return [h_a, e_b, p_b, dense], the aggregation MLP's input (B, K0)."""
        parts = [x.fields.flatten(1), p_b.flatten(1), x.dense]
        # A part the dataset lacks may come without rows (an empty tensor of a Batch).
        parts = [p for p in parts if p.shape[1]]
        return torch.cat(parts if h_a is None else [h_a, *parts], 1)

    def dice_statistics(self, x: Inputs, architecture: Architecture) -> Statistics:
        """Return the Dice statistics of this child on the given rows, as a scored child needs them."""
        which = self.which(architecture.interactions)
        if which is not None:
            raise AmeirError("Dice statistics are recomputed for all interactions of the model only.")
        h_0 = self.h0(x, self.behavior(x, architecture.blocks), self.interactions(x.fields, None))
        return self.mlp.statistics(h_0, hidden_layers(architecture.mlp))

    def which(self, interactions: Sequence[Interaction]) -> Tensor | None:
        """Return the indices of ``interactions`` among those held, or None for all of them."""
        if tuple(interactions) == self.capacity.interactions:
            return None
        if self.capacity.shortcut:
            raise AmeirError("A model with the SE shortcut runs with all of its interactions.")
        if not self.capacity.mlp:
            raise AmeirError("Interactions are chosen one by one through the columns of the first hidden layer, and "
                             "this model has none. Give dataset.model.mlp at least one layer.")
        return self.places(interactions)

    def places(self, interactions: Sequence[Interaction]) -> Tensor:
        """Return the indices of ``interactions`` among those held; raises ``AmeirError`` for one that is not."""
        missing = [i for i in interactions if i not in self._places]
        if missing:
            raise AmeirError(f"The model holds no weights for the interaction {list(missing[0])}.")
        return torch.tensor([self._places[i] for i in interactions], dtype=torch.long,
                            device=self.embedding.weight.device)

    def segments(self) -> list[tuple[str, int]]:
        """Return the named parts of the MLP's input and their widths."""
        return segments(self.schema, self.embedding_size, self.capacity.interactions, self.capacity.behavior)

    def without_interactions(self, x: Inputs, h_a: Tensor | None, units: int) -> Tensor:
        """Return the first hidden layer's product (B, units) of all but the interactions, with its bias."""
        begin, end = self._interaction_columns
        every = torch.arange(self.mlp.in_features, device=x.fields.device)
        none = x.fields.new_zeros(len(x), 0, self.embedding_size)
        return self.mlp.first(self.h0(x, h_a, none), units, torch.cat([every[:begin], every[end:]]))

    def with_interactions(self, rest: Tensor, p_b: Tensor, which: Tensor) -> Tensor:
        """Add to ``rest`` (B, U) of :meth:`without_interactions` the projection of the interactions ``p_b`` (B, M, K),
        which are those that ``which`` (M,) names by index (paper, Sec. 2.3 step 2)."""
        return torch.addmm(rest, p_b.flatten(1), self.projections(which, rest.shape[1]).flatten(0, 1))

    def interaction_columns(self) -> tuple[nn.Parameter, slice]:
        """Return the first hidden layer's matrix and which of its columns read interactions."""
        return self.mlp.first.weight, slice(*self._interaction_columns)

    def projections(self, which: Tensor, units: int) -> Tensor:
        """Return the columns of the first hidden layer of each of the given interactions, (M, K, units)."""
        begin, end = self._interaction_columns
        weight = self.mlp.first.weight[:units, begin:end]  # (U, C*K)
        return weight.view(units, -1, self.embedding_size)[:, which].permute(1, 2, 0)


def groups_of(rows: int) -> int:
    """Return how many groups by length that many rows are worth."""
    return min(GROUPS, rows // GROUP_ROWS)


def hidden_layers(mlp: Sequence[MlpLayer]) -> list[tuple[int, str]]:
    """Return (units, activation) of each hidden layer."""
    return [(h.units, h.activation) for h in mlp]


class Derived(Ameir):
    """A model that holds one architecture and runs it: what is finetuned, evaluated and served.

    Args:
        schema: of the dataset.
        architecture: the one it runs.
        embedding_size: K.
        behavior: whether the history is read.
        shortcut: whether the SE shortcut is there; by default where interactions are.
        block_dropout: dropout after each block's activation.
        mlp_dropout: dropout after each hidden layer's activation.
        embedding_dropout: dropout of the embedded history.
        embedding_bound: embeddings start uniform within ± this.
    """

    def __init__(self, schema: Schema, architecture: Architecture, *, embedding_size: int, behavior: bool = True,
                 shortcut: bool | None = None, block_dropout: float = 0.0, mlp_dropout: float = 0.0,
                 embedding_dropout: float = 0.0, embedding_bound: float = EMBEDDING_BOUND) -> None:
        super().__init__(schema, Capacity.of(architecture, behavior=behavior, shortcut=shortcut),
                         embedding_size=embedding_size, block_dropout=block_dropout, mlp_dropout=mlp_dropout,
                         embedding_dropout=embedding_dropout, embedding_bound=embedding_bound)
        self.architecture = architecture

    def forward(self, batch: Batch, architecture: Architecture | None = None) -> Tensor:
        """Return logits (B,) or query vectors (B, K) of its own architecture."""
        return super().forward(batch, self.architecture if architecture is None else architecture)

    @torch.no_grad()
    def recompute_dice(self, calibration: Sequence[Batch]) -> None:
        """Set Dice's running statistics to those of the given rows (after derivation; nothing without Dice)."""
        if all(layer.activation != "dice" for layer in self.architecture.mlp):
            return
        was = self.training
        self.eval()
        device = self.embedding.weight.device
        x = Inputs.join([self.embed(b.to(device)) for b in calibration])
        self.mlp.set_statistics(self.dice_statistics(x, self.architecture))
        self.train(was)
