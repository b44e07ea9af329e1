"""Amazon Beauty, 5-core: next-item data."""

from __future__ import annotations

from pathlib import Path

from ameir_pl.data.dataset import DATASETS
from ameir_pl.data.sequences import SequenceDataset


@DATASETS.register("beauty")
class Beauty(SequenceDataset):
    """Amazon Beauty (McAuley, 2014), whole: 22,363 users, 12,101 items, 198,502 interactions after the 5-core.

    Arguments are those of :class:`~ameir_pl.data.sequences.SequenceDataset`; T is 15 (paper, Appendix D).
    """

    name = "beauty"
    file_names = ("Beauty.txt", "ratings_Beauty.csv")
    offered = "https://jmcauley.ucsd.edu/data/amazon/"
    terms = "published for research; no open licence."

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 15,
                 min_count: int = 5, filter_sequences: bool = False) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, min_count=min_count,
                         filter_sequences=filter_sequences)
