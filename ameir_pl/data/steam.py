"""Steam reviews, 5-core: next-item data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ameir_pl.data.bad_rows import Policy
from ameir_pl.data.dataset import DATASETS
from ameir_pl.data.sequences import PaperCounts, SequenceDataset


@DATASETS.register("steam")
class Steam(SequenceDataset):
    """Steam reviews (Kang and McAuley, 2018) as sequences of games.

    The publisher's file has one review a line, game by game: the user is ``username``, the item ``product_id``, the
    time ``date``, a day. Reviews of one user and day stay in the order of the file, which is an order of games: the
    file does not say which of them came first. A game that a user reviewed again comes again.

    Arguments are those of :class:`~ameir_pl.data.sequences.SequenceDataset`; T is 25 (paper, Appendix D).
    """

    name = "steam"
    file_names = ("Steam.txt", "steam_reviews.json", "steam_new.json", "ratings_Steam.csv", "Steam.inter")
    offered = "https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data"
    terms = "published for research; no open licence."
    paper_counts = PaperCounts(users=281_210, items=11_961, shortest=5, longest=1_226, mean=12.391)

    def __init__(self, *, raw: Path | str, encoded: Path | str, source: Path | str | None = None, max_len: int = 25,
                 on_bad_row: Policy = "fail", min_count: int = 5, filter_sequences: bool = False,
                 columns: Sequence[str] | None = None) -> None:
        super().__init__(raw=raw, encoded=encoded, source=source, max_len=max_len, on_bad_row=on_bad_row,
                         min_count=min_count, filter_sequences=filter_sequences, columns=columns)
