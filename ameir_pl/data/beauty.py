"""Amazon Beauty, 5-core: next-item data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ameir_pl.data.bad_rows import Policy
from ameir_pl.data.dataset import DATASETS
from ameir_pl.data.sequences import PaperCounts, SequenceDataset


@DATASETS.register("beauty")
class Beauty(SequenceDataset):
    """Amazon Beauty (McAuley, 2014), whole: 22,363 users, 12,101 items, 198,502 interactions after the 5-core.

    Arguments are those of :class:`~ameir_pl.data.sequences.SequenceDataset`; T is 15 (paper, Appendix D).
    """

    name = "beauty"
    file_names = ("Beauty.txt", "reviews_Beauty_5.json", "ratings_Beauty.csv", "reviews_Beauty.json", "Beauty.inter")
    offered = "https://jmcauley.ucsd.edu/data/amazon/"
    terms = "published for research; no open licence."
    paper_counts = PaperCounts(users=22_363, items=12_101, shortest=5, longest=204, mean=8.876)

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 15,
                 on_bad_row: Policy = "fail", min_count: int = 5, filter_sequences: bool = False,
                 columns: Sequence[str] | None = None) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row,
                         min_count=min_count, filter_sequences=filter_sequences, columns=columns)
