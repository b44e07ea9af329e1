"""Amazon reviews of any category: next-item data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ameir_pl.data.bad_rows import Policy
from ameir_pl.data.dataset import DATASETS
from ameir_pl.data.sequences import SequenceDataset
from ameir_pl.errors import AmeirError

NAMES = ("{}.txt", "reviews_{}_5.json", "{}_5.json", "ratings_{}.csv", "{}.csv", "reviews_{}.json", "{}.json",
         "{}.inter")
"""Names of a category's file: sequences, 5-core reviews (2014, 2018), ratings, all reviews, RecBole's."""


@DATASETS.register("amazon")
class Amazon(SequenceDataset):
    """Reviews of one category of Amazon's goods (McAuley 2014; Ni and McAuley 2018), such as ``Video_Games``.

    The user is ``reviewerID``, the item ``asin``, the time ``unixReviewTime``, or the same as columns of the ratings.

    Args:
        category: the publisher's name of it; the folder is then searched for the names its files have. None: the
            ``source`` is a file.
        raw, encoded, source, max_len, on_bad_row, min_count, filter_sequences, columns: as
            :class:`~ameir_pl.data.sequences.SequenceDataset`.

    Raises:
        AmeirError: a setting is out of range, or the category is not a name.
    """

    name = "amazon"
    offered = ("https://nijianmo.github.io/amazon/ (2018) and https://jmcauley.ucsd.edu/data/amazon/ (2014), by "
               "category")
    terms = "published for research; no open licence."

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 15,
                 on_bad_row: Policy = "fail", category: str | None = None, min_count: int = 5,
                 filter_sequences: bool = False, columns: Sequence[str] | None = None) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row,
                         min_count=min_count, filter_sequences=filter_sequences, columns=columns)
        if category is not None and not category.replace("_", "").isalnum():
            raise AmeirError(f"amazon: category='{category}'; a name as the publisher's files have it was expected, "
                             f"such as Video_Games.")
        self.category = category

    def names(self) -> tuple[str, ...]:
        """Return the names of the category's files, the one to prefer first."""
        if self.category is None:
            raise AmeirError("amazon: which category? Name it, dataset.options.category=Video_Games, or name a file, "
                             f"dataset.source=FILE. Offered at {self.offered}; terms: {self.terms}")
        return tuple(name.format(self.category) for name in NAMES)
