"""What numbers are worth: their standard errors, and what no model reaches: a constant, or an order by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ameir_pl.data.encoded_sequences import RANKED
from ameir_pl.search.problem import Data

FEW, TOO_FEW = 50, 5
"""Clicks, or rows without, of a split below which its AUC is said to tell little, and below which it is not shown."""
ENOUGH = 100
"""Users from which on a hit rate tells anything."""
PERFECT = 0.99
"""An AUC that no model of clicks has by itself."""
SPLITS = ("valid", "test", "test_full")


def auc_error(auc: float, clicks: int, others: int) -> float:
    """Return the standard error of an AUC (Hanley and McNeil 1982); NaN where one class is not there.

    It depends on the AUC and the rows alone. With fewer than a handful of either it is too small.
    """
    if min(clicks, others) < 1 or not 0 <= auc <= 1:
        return math.nan
    above, below = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = (auc * (1 - auc) + (clicks - 1) * (above - auc * auc) + (others - 1) * (below - auc * auc)) / (
        clicks * others)
    return math.sqrt(max(variance, 0.0))


def mean_error(mean: float, rows: int) -> float:
    """Return the standard error of a mean of values from 0 to 1: of a hit rate it is the binomial one, of other values
    it is at most that (Bhatia and Davis 2000)."""
    return math.sqrt(max(mean * (1 - mean), 0.0) / rows) if rows else math.nan


def reference(data: Data) -> dict[str, Any]:
    """Return what metrics.json has of a dataset's rows: for clicks ``clicks`` of each split and ``constant``, the
    metrics of predicting the click rate of train rows; for next items ``chance``, those of an order by chance."""
    clicks, rows = data.clicks, data.rows
    if not clicks:
        items = data.catalogue
        return {"chance": {"valid": _by_chance(RANKED + 1), "test": _by_chance(RANKED + 1),
                           "test_full": _by_chance(items)}} if items else {}
    rate = clicks["train"] / rows["train"]
    return {"clicks": clicks, "constant": {
        split: {"auc": 0.5, "logloss": _constant_loss(rate, clicks[split] / rows[split])}
        for split in ("valid", "test") if rows.get(split)}}


def _by_chance(candidates: int) -> dict[str, float]:
    found = {}
    for name, cutoff in (("hr", 1), ("hr", 5), ("ndcg", 5), ("hr", 10), ("ndcg", 10)):
        places = range(1, min(cutoff, candidates) + 1)
        gain = sum(1.0 if name == "hr" else 1 / math.log2(place + 1) for place in places)
        found[f"{name}@{cutoff}"] = gain / candidates
    return found


def _constant_loss(rate: float, clicked: float) -> float:
    return -clicked * math.log(rate) - (1 - clicked) * math.log(1 - rate) if 0 < rate < 1 else math.nan


def standard_errors(row: Mapping[str, Any], rows: Mapping[str, int], clicks: Mapping[str, int]
                    ) -> dict[str, dict[str, float]]:
    """Return the standard errors of a model's metrics by split: of an AUC, a hit rate, an NDCG; of others none.

    Args:
        row: the model's entry in metrics.json.
        rows, clicks: of each split.
    """
    found: dict[str, dict[str, float]] = {}
    for split in SPLITS:
        of = split.removesuffix("_full")
        for name, value in row.get(split, {}).items():
            if name == "auc" and of in clicks:
                error = auc_error(value, clicks[of], rows[of] - clicks[of])
            elif name.startswith(("hr@", "ndcg@")):
                error = mean_error(value, rows.get(of, 0))
            else:
                continue
            if not math.isnan(error):
                found.setdefault(split, {})[name] = round(error, 6)
    return found


def reference_rows(metrics: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float]]]:
    """Return what the table of metrics.json has below the models: a constant or an order by chance, and the standard
    error, the largest of any model."""
    found = {name: metrics[key] for key, name in (("constant", "constant"), ("chance", "by chance")) if key in metrics}
    largest: dict[str, dict[str, float]] = {}
    for row in metrics["models"].values():
        for split, errors in row.get("standard_errors", {}).items():
            for name, error in errors.items():
                mine = largest.setdefault(split, {})
                mine[name] = max(error, mine.get(name, 0.0))
    return {**found, "± 1 s.e.": largest} if largest else found


def too_few(metrics: Mapping[str, Any], split: str, least: int = TOO_FEW) -> int | None:
    """Return how many clicks, or rows without, whichever are fewer, a split has, where they are below ``least``."""
    if split not in metrics.get("clicks", {}):
        return None
    fewer = min(metrics["clicks"][split], metrics["rows"][split] - metrics["clicks"][split])
    return fewer if fewer < least else None


def chance_notes(metrics: Mapping[str, Any]) -> list[str]:
    """Return what has to be said of the numbers of metrics.json: too few clicks, models no better than chance."""
    notes = []
    for split, word in (("valid", "validation"), ("test", "test")):
        if any(split in row and row[split] for row in metrics["models"].values()):
            fewer = too_few(metrics, split, FEW)
            if fewer is not None:
                error = auc_error(0.5, fewer, metrics["rows"][split] - fewer)
                no = "" if fewer == metrics["clicks"][split] else "no "
                what = f"is {no or 'a '}click" if fewer == 1 else f"are {no}clicks"
                notes.append(f"Warning: {fewer:,} of the {metrics['rows'][split]:,} {word} rows {what}, too few to "
                             f"measure: an AUC has a standard error of up to {error:.2f}, and differences below "
                             f"{2 * error:.2f} say nothing. Take more rows, or a larger share of them for {word}.")
    perfect = [name for name, row in metrics["models"].items() if row.get("test", {}).get("auc", 0.0) >= PERFECT]
    if perfect and too_few(metrics, "test") is None:
        notes.append(f"Warning: an AUC from {PERFECT} on ({', '.join(perfect)}) is no model's merit: a field gives the "
                     "label away, or test rows are copies of train rows.")
    poor = {name: words for name, row in metrics["models"].items()
            if name not in perfect and (words := _below_chance(metrics, row))}
    notes += [f"Warning: {name} does not beat a {'constant' if 'constant' in metrics else 'chance order'} on the test "
              f"rows: {words}." for name, words in poor.items()]
    if poor and "constant" in metrics:
        notes.append("Look at the label and the fields, and at the learning rate and the epochs. What logistic "
                     "regression reaches tells what there is to learn: `ameir compare models=[lr,…]`.")
    return notes


BY_ERRORS = " by two standard errors"


def _below_chance(metrics: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What of a model's test numbers is no better than a constant's or a chance order's; empty where nothing is."""
    test, constant = row.get("test", {}), metrics.get("constant", {}).get("test", {})
    if "auc" in test and constant:
        clicks = metrics["clicks"]["test"]
        error = auc_error(test["auc"], clicks, metrics["rows"]["test"] - clicks)
        words = []
        if test["auc"] < 0.5 + 2 * error and too_few(metrics, "test") is None:
            words.append(f"its AUC {test['auc']:.4f} ± {error:.4f} is not above the 0.5 of a constant"
                         f"{BY_ERRORS if test['auc'] > 0.5 else ''}")
        if test["logloss"] > constant["logloss"]:
            words.append(f"its log loss {test['logloss']:.4f} is worse than the {constant['logloss']:.4f} of always "
                         "predicting the click rate")
        return " and ".join(words)
    chance = metrics.get("chance", {}).get("test", {})
    if "hr@10" in test and chance and metrics["rows"]["test"] >= ENOUGH:
        error = mean_error(chance["hr@10"], metrics["rows"]["test"])
        if test["hr@10"] < chance["hr@10"] + 2 * error:
            return f"its HR@10 {test['hr@10']:.4f} is not above {chance['hr@10']:.4f} ± {error:.4f}" \
                f"{BY_ERRORS if test['hr@10'] > chance['hr@10'] else ''}"
    return ""
