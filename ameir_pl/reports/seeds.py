"""Several runs of one search, each with a seed of its own: mean and deviation of each model, and paired tests."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ameir_pl.progress import console
from ameir_pl.reports.comparison import LABELS
from ameir_pl.reports.fitting import print_fitting

SUMMARY = "summary.json"
CHOSEN = "the run's model"
"""The row of what each run chose; its seconds are those of the whole search."""


def search_seconds(metrics: Mapping[str, Any]) -> float:
    """Return what a search took in all, without preparing data and training the baseline beside; 0 where the metrics
    are of no search."""
    seconds = metrics["seconds"]
    if not any(part == "search" or part.startswith("stage") for part in seconds):
        return 0.0
    return float(sum(value for part, value in seconds.items() if part != "prepare"))


def summarize(runs: Mapping[str, Mapping[str, Any]], reference: str | None) -> dict[str, Any]:
    """Return the content of ``summary.json``.

    Args:
        runs: metrics.json of each run by its name, at least one; all of the same data and settings but the seed.
        reference: row of the baseline that the chosen models are tested against; None: none.

    Returns:
        ``models``: of each row its ``seeds`` and, as ``{mean, sd}`` (no ``sd`` of one seed), each metric under
        ``test`` (``valid`` where test rows were not measured), ``params`` and ``seconds``; ``chosen``: row by seed;
        ``paired``: tests of the chosen models against the reference and against the runs that they are compared with,
        by metric.
    """
    every = list(runs.values())
    split = "test" if all(row.get("test") for one in every for row in one["models"].values()) else "valid"
    rows: dict[str, dict[int, dict[str, Any]]] = {}
    for one in every:
        for name, row in {**one["models"], **_added(one, every)}.items():
            rows.setdefault(name, {})[one["seed"]] = row
    models = {name: {"seeds": sorted(found), split: _each_metric(list(found.values()), split),
                     **{key: _mean_sd([row[key] for row in found.values()])
                        for key in ("params", "embedding_params", "seconds")}} for name, found in rows.items()}
    against = [name for name in rows if name == reference or name.startswith(_MODEL_OF)]
    return {"dataset": every[0]["dataset"], "protocol": every[0]["protocol"], "rows": every[0]["rows"],
            "runs": {str(one["seed"]): name for name, one in runs.items()}, "split": split, "models": models,
            "chosen": {str(one["seed"]): one["model"] for one in every},
            "paired": {name: _paired(rows[CHOSEN], rows[name], split) for name in against
                       if len(rows[CHOSEN].keys() & rows[name].keys()) > 1}}


_MODEL_OF = "model of "


def _added(metrics: Mapping[str, Any], every: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the rows that are no model's of this run alone: what it chose, and the model of a run that it is compared
    with, where each seed has another one."""
    added = {CHOSEN: {**metrics["models"][metrics["model"]], "seconds": search_seconds(metrics)}}
    others = {one.get("search", {}).get("compared", {}).get("run") for one in every} - {None}
    compared = metrics.get("search", {}).get("compared")
    if compared is not None and len(others) == len(every):
        common = compared["run"].removesuffix(f".seed{metrics['seed']}")
        added[f"{_MODEL_OF}{common}"] = {**compared["row"], "seconds": compared["seconds"]}
    return added


def _each_metric(rows: Sequence[Mapping[str, Any]], split: str) -> dict[str, dict[str, float]]:
    """Mean and deviation of each metric, those of the full ranking with ``full_`` before them."""
    full = f"{split}_full"
    return {name: _mean_sd([row[split][name] for row in rows]) for name in rows[0][split]} | {
        f"full_{name}": _mean_sd([row[full][name] for row in rows]) for name in rows[0].get(full, {})}


def _mean_sd(values: Sequence[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), **({"sd": statistics.stdev(values)} if len(values) > 1 else {})}


def _paired(first: Mapping[int, Mapping[str, Any]], second: Mapping[int, Mapping[str, Any]], split: str
            ) -> dict[str, dict[str, float | None]]:
    seeds = sorted(first.keys() & second.keys())
    names = [name for name in first[seeds[0]][split] if name in second[seeds[0]][split]]
    return {name: paired_test([first[seed][split][name] for seed in seeds],
                              [second[seed][split][name] for seed in seeds]) for name in names}


def paired_test(first: Sequence[float], second: Sequence[float]) -> dict[str, float | None]:
    """Return Student's paired t test of two models on the same seeds, at least two.

    Returns:
        ``n`` seeds, the mean ``difference`` of ``first`` from ``second`` with its ``sd`` over seeds, ``t``, and the
        two-sided ``p``; both are None where the differences do not vary.
    """
    differences = [a - b for a, b in zip(first, second, strict=True)]
    n, mean, sd = len(differences), statistics.fmean(differences), statistics.stdev(differences)
    t = mean / (sd / math.sqrt(n)) if sd > 0 else None
    return {"n": n, "difference": mean, "sd": sd, "t": t, "p": None if t is None else two_sided_p(t, n - 1)}


def two_sided_p(t: float, degrees: int) -> float:
    """Return how likely Student's t is at least as far from 0 as ``t``.

    The finite series for whole degrees of freedom (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4), to about 1e-15.
    """
    angle = math.atan2(abs(t), math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(2 + odd, degrees + 1, 2):
        total += term
        term *= cosine ** 2 * (k - 1) / k
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(1.0 - inside, 0.0)


def show_summary(summary: Mapping[str, Any]) -> None:
    """Print the table of means and deviations, what was chosen, and the paired tests."""
    out, split = console(results=True), summary["split"]
    names = list(dict.fromkeys(name for row in summary["models"].values() for name in row[split]))
    header = ["model", *map(_label, names), "params", "seconds", "seeds"]
    rows = [[model, *(_cell(row[split].get(name), ".4f") for name in names), _cell(row["params"], ",.0f"),
             _cell(row["seconds"], ".1f"), str(len(row["seeds"]))] for model, row in summary["models"].items()]
    print_fitting(out, header, rows, title=f"{summary['dataset']}, seeds {', '.join(summary['runs'])}, {split} rows, "
                                           f"{summary['protocol']}: mean ± deviation over seeds")
    chosen = "; ".join(f"seed {seed} {model}" for seed, model in summary["chosen"].items())
    out.print(f"The run's model: {chosen}. Its seconds are those of the whole search.", markup=False)
    for name, tests in summary["paired"].items():
        out.print(f"The run's model minus {name}, paired t test: " + "; ".join(
            f"{_label(metric)} {of['difference']:+.4f} ± {of['sd']:.4f}"
            + ("" if of["t"] is None else f", t({of['n'] - 1}) = {of['t']:.2f}, p = {of['p']:.2g}")
            for metric, of in tests.items()) + ".", markup=False)


def _label(name: str) -> str:
    short = name.removeprefix("full_")
    return ("full " if short != name else "") + LABELS.get(short, short.upper())


def _cell(value: Mapping[str, float] | None, form: str) -> str:
    if value is None:
        return "-"
    return format(value["mean"], form) + (f" ± {format(value['sd'], form)}" if "sd" in value else "")
