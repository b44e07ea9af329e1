"""Names of columns that say time."""

from __future__ import annotations

import re

TIME = frozenset({"time", "timestamp", "ts", "date", "datetime", "stamp", "unixtime"})
"""Words that name a time and nothing else."""
LIKE_TIME = TIME | {"dt", "created", "hour", "day", "when", "epoch", "fecha", "hora", "datum", "zeit",
                    "uhrzeit", "heure"}
_FOREIGN = re.compile("时间|時間|日期|日時|日付|时刻|날짜|시간|время|дата")


def is_named_like_time(name: str, words: frozenset[str]) -> bool:
    """Return whether the name of a column says that it may hold times; ``words`` are those of the name."""
    ends_at = bool(re.search(r"[a-z](?:_at|At)$", name))
    return bool(words & LIKE_TIME) or ends_at or bool(_FOREIGN.search(name.lower()))
