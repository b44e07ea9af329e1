"""The rules by which a column's part in a description is guessed. docs/your-own-data.md lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ameir_pl.data.column_facts import Facts
from ameir_pl.data.list_text import SAYS
from ameir_pl.data.table_fields import reserved
from ameir_pl.data.text_facts import PROSE

USER = ("user", "usr", "uid", "member", "customer", "cust", "visitor", "viewer", "account", "client", "reviewer",
        "buyer", "household", "hh", "subscriber", "consumer", "shopper", "player", "reader", "listener", "patron",
        "borrower", "guest", "person", "username", "nickname", "msisdn", "nutzer", "benutzer", "kunde", "usuario",
        "cliente", "utilisateur", "utente")
TRAITS = frozenset({"age", "gender", "sex", "occupation", "job", "zip", "zipcode", "city", "state", "country", "region",
                    "income", "education", "segment", "cms", "shopping", "pvalue"})
ITEM = frozenset({"item", "iid", "ad", "adgroup", "product", "movie", "article", "video", "sku", "asin", "campaign",
                  "brand", "cate", "category", "creative", "song", "track", "artist", "book", "news", "goods", "genre",
                  "genres", "shop", "seller", "title", "author", "price", "release", "class", "tag", "tags", "topic",
                  "advertiser"})
QUANTITY = frozenset({"price", "amount", "count", "cnt", "score", "rate", "ratio", "duration", "length", "size",
                      "weight", "height", "seconds", "minutes", "days", "clicks", "views", "impressions", "total",
                      "sum", "avg", "mean", "std", "ctr", "distance", "revenue", "cost", "sales", "stock"})
PAST = frozenset({"hist", "history", "seq", "sequence", "past", "previous", "prev", "sess", "session", "behavior",
                  "behaviors", "recent", "clicked"})
FEW = 20
"""Up to as many distinct numbers with a fraction are categories."""
VARIETY = 0.2
"""A RecBole list with more distinct elements for each element is prose, such as a title."""
LEAST = 50
"""Rows from which on a value of its own in every row tells an id of the row."""
INDEX = re.compile(r"^(?:column_\d+_*|unnamed: ?\d+(?:_level_\d+)?(?:\.\d+)?|__index_level_\d+__|index|idx|level_\d+|"
                   r"row_?(?:id|no|nr|num|number|index)?|rn|line_?(?:no|nr|num|number)?|\.\.\.\d+|x\.?\d*)$",
                   re.IGNORECASE)
"""Names of columns that number the rows: of a column without a name, as pandas and R write their index, and alike."""


@dataclass
class Guess:
    """What a column is taken for.

    Args:
        entry: its line under ``fields``.
        why: the reason.
        used: false where it is left out, as a comment.
    """

    entry: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    used: bool = True


def group_of(f: Facts, user: frozenset[str]) -> str:
    """Return a field's group by the words of its name; ``user`` are those of the user's column, if there is one.

    Where users are called `user`, a `customer` is somebody else.
    """
    if f.words & set(USER) & (user or f.words):
        return "user"
    if f.words & ITEM:
        return "target"
    return "user" if user and f.words & TRAITS else "context"


def guess(f: Facts, user: frozenset[str]) -> Guess:
    """Return what a column is taken for; ``user`` as for :func:`group_of`."""
    taken = _guess(f, user)
    numbers = taken.entry.get("type") == "dense" or taken.entry.get("dtype") in ("int", "float")
    how: dict[str, Any] = {"decimal": f.decimal} if numbers and f.decimal != "." else {}
    how |= {"thousands": f.thousands} if numbers and f.thousands else {}
    how |= {"missing": list(f.gaps)} if f.gaps else {}
    return replace(taken, entry=taken.entry | how, why=f"{taken.why}; {f.note}" if f.note else taken.why)


def _guess(f: Facts, user: frozenset[str]) -> Guess:
    group = group_of(f, user)
    entry: dict[str, Any] = {"name": f.name, "type": "categorical", "dtype": "int" if f.kind == "int" else "str",
                             "group": group}
    if reserved(f.name):
        return Guess(entry, "no field may have its name; give it another, with `from`", False)
    if f.counts and INDEX.match(f.name):
        return Guess(entry, "numbers the rows (an index)", False)
    if f.left:
        return Guess(entry, f.left, False)
    if f.kind in ("empty", "nested", "bytes") or f.distinct == 1 and not f.missing:
        why = {"empty": "no value", "nested": "nested values",
               "bytes": "bytes that are not UTF-8 text"}.get(f.kind, "the same value in every row")
        return Guess(entry, why, False)
    if f.typed == "float_seq":
        return Guess(entry, "a list of numbers (float_seq)", False)
    if f.kind == "list" or f.splitter or f.typed == "token_seq":
        splitter: dict[str, Any] = {} if f.kind == "list" else {"splitter": f.splitter or " "}
        if f.variety > VARIETY:
            return Guess(entry | {"type": "multivalent"} | splitter, "words, most of them rare", False)
        if f.kind == "list":
            entry["dtype"] = "str"
        return Guess({"name": f.name, "type": "multivalent", "dtype": "str", "group": group, **splitter},
                     "a list" if f.kind == "list" else SAYS.get(f.splitter, f"'{splitter['splitter']}' in most values"))
    if f.kind == "date":
        return Guess(entry, "a date", False)
    is_key = bool(f.words & {*USER, "id"}) or f.typed == "token"
    if f.kind == "text" and f.mean_length > PROSE:
        return Guess(entry, "long text", False)
    if f.kind in ("int", "text") and f.rows >= LEAST and f.distinct == f.rows - f.missing \
            and not f.words & {*USER, *ITEM}:
        return Guess(entry, "another value in every row: an id of the row", False)
    if f.kind == "text":
        return Guess(entry, "text")
    dense = {"name": f.name, "type": "dense"}
    if f.kind == "float":
        if f.distinct <= FEW and not f.words & QUANTITY:
            return Guess(entry | {"dtype": "float"}, "few numbers")
        return Guess(dense, "numbers with a fraction")
    if not is_key and f.distinct > FEW and (f.words & QUANTITY or f.low < -1):
        return Guess(dense, "the name says quantity" if f.words & QUANTITY else "whole numbers, some negative")
    return Guess(entry, "an id" if f.words & {*USER, "id"} else "whole numbers")


def is_past(f: Facts) -> bool:
    """Whether a column is a list that its name calls a history."""
    listed = f.kind == "list" or bool(f.splitter) or f.typed == "token_seq"
    return listed and bool(f.words & PAST) and not reserved(f.name) and not f.left


def meant(f: Facts, fields: Iterable[Facts]) -> Facts | None:
    """Return the field that means the same as a history column, by the words of their names; None where none does."""
    left = f.words - PAST - {"id", "list"}
    items = [t for t in fields if t.words & ITEM]
    if not left:
        return items[0] if items else None
    same = [t for t in items if t.words - {"id"} == left]
    near = [t for t in items if left <= t.words or t.words - {"id"} <= left]
    return (same + near + [None])[0]  # type: ignore[list-item]
