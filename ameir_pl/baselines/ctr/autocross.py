"""AutoCross (Luo et al., 2019): crosses of fields are searched for the linear part of Wide & Deep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from ameir_pl.baselines.base import BASELINES, Baseline, Finding
from ameir_pl.baselines.crosses import Columns, Rows, bucket, find_crosses, index_of
from ameir_pl.baselines.parts import FirstOrder, PlainMlp, check_sizes, check_whole, deep_input, deep_width
from ameir_pl.batch import Batch
from ameir_pl.errors import AmeirError
from ameir_pl.nn.embedding import FieldEmbedding
from ameir_pl.nn.heads import CtrHead
from ameir_pl.progress import console
from ameir_pl.schema import Field, Schema


@BASELINES.register("autocross")
class AutoCross(Baseline):
    """logit = <w, x> + sum over crosses of v_c[hash(x_c)] + w·MLP([history sum, e, dense]).

    The crosses, of two columns or of more, are found first, from the training and the validation rows: see
    :func:`~ameir_pl.baselines.crosses.find_crosses`. Columns are the fields with one id a row, and dense values
    divided into ranges. Where the original compares by AUC, candidates are compared by log loss here.

    Args:
        schema: of a dataset of clicks.
        embedding_size: K.
        mlp: units of the hidden layers, all ReLU.
        dropout: after each hidden layer.
        number: the most crosses to find.
        buckets: weights of a cross, whose values share them by hash.
        granularities: into how many ranges dense values may be divided; the best is taken of each.
        rows: training rows to search with; all where there are fewer.
        valid_rows: validation rows, half to compare with and half to judge the best.
        first_rows: training rows that all candidates learn from; each half that stays gets twice as many.
        crosses: of column names, those to train with; null: they are to be found.

    Raises:
        AmeirError: an option is out of range, or a cross is none of columns of the dataset.
    """

    needs = ("clicks", "fields")
    index: Tensor

    def __init__(self, schema: Schema, *, embedding_size: int, mlp: Sequence[int], dropout: float = 0.0,
                 number: int = 10, buckets: int = 65536, granularities: Sequence[int] = (10, 100),
                 rows: int = 500000, valid_rows: int = 20000, first_rows: int = 5000,
                 crosses: Sequence[Sequence[str]] | None = None) -> None:
        super().__init__()
        for option, value in (("number", number), ("buckets", buckets), ("rows", rows), ("valid_rows", valid_rows),
                              ("first_rows", first_rows)):
            check_whole("autocross", option, value)
        check_sizes("autocross", "granularities", granularities)
        self.columns = Columns(schema, granularities)
        for cross in crosses or ():
            if not len(set(cross)) == len(cross) > 1 \
                    or not set(cross) <= set(self.columns.names):
                raise AmeirError(f"model.options.crosses: {cross!r} is not a list of different columns of "
                                 f"{schema.dataset}. Its columns are {', '.join(self.columns.names)}.")
        self.crosses = [tuple(sorted(self.columns.names.index(name) for name in cross)) for cross in crosses or ()]
        self._search: dict[str, int] | None = None
        if crosses is None:
            self._search = {"number": number, "buckets": buckets, "first": first_rows}
        self._rows = {"train": rows, "valid": valid_rows}
        self._again = partial(AutoCross, schema, embedding_size=embedding_size, mlp=mlp, dropout=dropout,
                              buckets=buckets, granularities=granularities)
        self._buckets = buckets
        self.embedding = FieldEmbedding(schema, embedding_size)
        self.first_order = FirstOrder(schema)
        self.mlp = PlainMlp(deep_width(schema, embedding_size), mlp, dropout)
        self.head = CtrHead(self.mlp.out_features)
        self.cross_weights: FieldEmbedding | None = None
        if self.crosses:
            self.register_buffer("index", index_of(self.crosses), persistent=False)
            names = [str(i) for i in range(len(self.crosses))]
            self.cross_weights = FieldEmbedding(
                Schema(schema.dataset, "ctr", tuple(Field(name, name) for name in names),
                       vocabularies={name: buckets + 1 for name in names}), 1)
            nn.init.zeros_(self.cross_weights.weight)  # what no training row has says nothing

    def found(self, finding: Finding) -> tuple[nn.Module, dict[str, Any]]:
        """Search the crosses, and return a new model of them."""
        if self._search is None:
            return self, {}
        parts = {split: Rows.of(finding.rows(split, count), self.columns) for split, count in self._rows.items()}
        crosses = [[self.columns.names[i] for i in cross]
                   for cross in find_crosses(self.columns, parts["train"], parts["valid"], **self._search)]
        console().print(f"autocross found {len(crosses)} crosses: "
                        + (", ".join(" x ".join(cross) for cross in crosses) or "none lowers the validation loss")
                        + ".", markup=False)
        return self._again(crosses=crosses), {"crosses": crosses}

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        e = self.embedding.fields(batch.fields)  # (B, N, K)
        logit = self.first_order(batch) + self.head(self.mlp(deep_input(self.embedding, batch, e)))
        if self.cross_weights is None:
            return logit
        ids = bucket(self.columns(batch), self.index, self._buckets) + 1  # 0 is padding's
        return logit + self.cross_weights.fields(ids).sum((1, 2))
