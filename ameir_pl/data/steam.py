"""Steam reviews, 5-core: next-item data."""

from __future__ import annotations

from pathlib import Path

from ameir_pl.data.dataset import DATASETS
from ameir_pl.data.sequences import SequenceDataset


@DATASETS.register("steam")
class Steam(SequenceDataset):
    """Steam reviews (Kang and McAuley, 2018) as sequences of games.

    Arguments are those of :class:`~ameir_pl.data.sequences.SequenceDataset`; T is 25 (paper, Appendix D).
    """

    name = "steam"
    file_names = ("Steam.txt", "ratings_Steam.csv")
    offered = "https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data"
    terms = "published for research; no open licence."

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 25,
                 min_count: int = 5, filter_sequences: bool = False) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, min_count=min_count,
                         filter_sequences=filter_sequences)
