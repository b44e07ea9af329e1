"""Several models, each with several seeds, in one table: mean and deviation, size, speed, the paper's numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ameir_pl.errors import AmeirError
from ameir_pl.reports.benchmarks import BENCHMARKS, benchmark_note, published
from ameir_pl.reports.chance import chance_notes, reference_rows, standard_errors

LABELS = {"auc": "AUC", "logloss": "log loss", "gauc": "gAUC"}


@dataclass(frozen=True)
class Trained:
    """One model of one ``metrics.json``.

    Args:
        model: what it is called in the table.
        key: its name among the paper's numbers.
        metrics: the whole of the file.
        row: the model's entry in it.
        settings: what it was trained with.
        search_seconds: of a model that a search found, what the steps of its search took.
    """

    model: str
    key: str
    metrics: Mapping[str, Any]
    row: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    search_seconds: float = 0.0


@dataclass(frozen=True)
class Line:
    """A model's line of the table.

    Args:
        model: its name.
        seeds: those it was trained with.
        means: of each metric of the test rows, ``full_`` before those of the full ranking.
        deviations: their standard deviations over seeds (n - 1); empty for one seed.
        params, embedding_params: weights beside the embedding matrix, and of it.
        seconds: of training and the validation after each epoch, the mean.
        samples_per_second: training rows over the seconds of training alone, without validation, the mean; 0 where
            they are not known or nothing was trained.
        published: the paper's or a benchmark's numbers.
        loss: the model's own, empty where it is the dataset's.
        settings: what it was trained with, by short names, and ``options`` that are not its defaults.
        search_seconds: of a model that a search found, what the steps of its search took.
        publisher: whose the published numbers are.
    """

    model: str
    seeds: tuple[int, ...]
    means: dict[str, float]
    deviations: dict[str, float]
    params: int
    embedding_params: int
    seconds: float
    samples_per_second: float
    published: dict[str, float]
    loss: str
    settings: dict[str, Any]
    search_seconds: float
    publisher: str = "paper"


def compare(trained: Sequence[Trained]) -> list[Line]:
    """Return a line for each model, the best first.

    Raises:
        AmeirError: two results are of other data, rows or ways of measuring.
    """
    groups: dict[str, list[Trained]] = {}
    for one in trained:
        groups.setdefault(one.model, []).append(one)
        for key in ("dataset", "protocol", "rows"):
            if one.metrics[key] != trained[0].metrics[key]:
                raise AmeirError(f"{one.model} and {trained[0].model} cannot be compared: their {key} are "
                                 f"{one.metrics[key]} and {trained[0].metrics[key]}. Train both on the same data.")
    lines = [_line(model, found) for model, found in groups.items()]
    return sorted(lines, key=lambda line: -line.means[fitness(line.means)])


def fitness(metrics: Mapping[str, Any]) -> str:
    """Return the metric that models are ranked by: ``auc`` for clicks, else ``ndcg@5``."""
    return "auc" if "auc" in metrics else "ndcg@5"


def _line(model: str, found: Sequence[Trained]) -> Line:
    values: dict[str, list[float]] = {}
    for one in found:
        full = {f"full_{name}": value for name, value in one.row.get("test_full", {}).items()}
        for name, value in {**one.row["test"], **full}.items():
            values.setdefault(name, []).append(value)
    training = [one.row.get("train_seconds", 0.0) for one in found]
    speeds = [one.row["epochs"] * _read_an_epoch(one) / seconds
              for one, seconds in zip(found, training, strict=True) if seconds > 0]
    first = found[0]
    return Line(
        model, tuple(sorted(one.metrics["seed"] for one in found)),
        {name: statistics.fmean(v) for name, v in values.items()},
        {name: statistics.stdev(v) for name, v in values.items()} if len(found) > 1 else {},
        first.row["params"], first.row["embedding_params"], statistics.fmean(o.row["seconds"] for o in found),
        statistics.fmean(speeds) if speeds else 0.0,
        published(first.metrics)[1].get(first.key, {}), first.row.get("loss", ""),
        dict(first.settings), first.search_seconds, published(first.metrics)[0])


def _read_an_epoch(one: Trained) -> int:
    """Return the training rows, or clips of users' sequences, that an epoch reads: whole batches."""
    rows = int(one.metrics.get("clips") or one.metrics["rows"]["train"])
    batch = min(one.settings.get("batch_size", rows), rows) or 1
    return rows // batch * batch


def common_settings(lines: Sequence[Line]) -> dict[str, Any]:
    """Return the settings that most lines have, options of single models left out."""
    keys = dict.fromkeys(key for line in lines for key in line.settings if key != "options")
    found = {}
    for key in keys:
        values = [line.settings.get(key) for line in lines]
        value = max(values, key=values.count)
        if value is not None:
            found[key] = value
    return found


def own_settings(line: Line, common: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a line has otherwise than :func:`common_settings`."""
    return {key: line.settings.get(key) for key in {**common, **line.settings}
            if line.settings.get(key) != common.get(key)}


def unequal(lines: Sequence[Line]) -> dict[str, list[str]]:
    """Return the lines that are not on equal terms with most, and by which keys: settings, options that are the model's
    own left out, and seeds."""
    common = common_settings(lines)
    seeds = [line.seeds for line in lines]
    usual = max(seeds, key=seeds.count)
    found = {line.model: [*(key for key in own_settings(line, common) if key != "options"),
                          *(["seeds"] if line.seeds != usual else [])] for line in lines}
    return {model: keys for model, keys in found.items() if keys}


def cells(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table as texts."""
    metrics = list(lines[0].means)
    papers = [name for name in metrics if any(name in line.published for line in lines)]

    def label(name: str) -> str:
        short = name.removeprefix("full_")
        return ("full " if short != name else "") + LABELS.get(short, short.upper())

    header = ["model", *(f"{label(name)}" for name in metrics),
              *(f"{lines[0].publisher}'s {label(name)}" for name in papers), "parameters",
              "embedding", "seconds", "samples/s", "seeds"]
    rows, marked = [], unequal(lines)
    for line in lines:
        measured = [f"{line.means[name]:.4f}" + (f" ± {line.deviations[name]:.4f}" if line.deviations else "")
                    if name in line.means else "-" for name in metrics]
        rows.append([line.model + (" *" if line.loss else ""), *measured,
                     *(f"{line.published[name]:g}" if name in line.published else "-" for name in papers),
                     f"{line.params:,}", f"{line.embedding_params:,}", f"{line.seconds:.1f}",
                     f"{line.samples_per_second:,.0f}" if line.samples_per_second else "-",
                     f"{len(line.seeds)}{' †' if line.model in marked else ''}"])
    return header, rows


def notes(lines: Sequence[Line], metrics: Mapping[str, Any]) -> list[str]:
    """Return what has to be known beside the table, a sentence each."""
    rows = ", ".join(f"{count:,} {split}" for split, count in metrics["rows"].items())
    found = [f"{metrics['dataset']}, {metrics['protocol']}; rows: {rows}. Numbers are of the test rows; the best "
             "epoch was chosen on the validation rows."]
    found += [f"Warning: {warning}" for warning in metrics.get("warnings", ())]
    found += _worth(lines, metrics)
    if marked := unequal(lines):
        found.append("† is not on equal terms with the others, and its place in the order says little: " + "; ".join(
            f"{model} differs in {', '.join(keys)}" for model, keys in marked.items()) + ".")
    common = common_settings(lines)
    if common:
        found.append(f"Settings: {_said(common)}.")
    found += [f"{line.model} has {_said(own)}." for line in lines if (own := own_settings(line, common))]
    found += [f"* {line.model} is trained with its own loss: {line.loss}." for line in lines if line.loss]
    found.append("Parameters are those beside the embedding matrix: weights of the first order, vectors of users and "
                 "tables of crosses among them. Seconds are those of training with the validation after each epoch, "
                 "samples/s the training rows over those without it.")
    found += [f"{line.model} was trained in these seconds; its search took another {line.search_seconds:,.0f}."
              for line in lines if line.search_seconds]
    if len({line.seeds for line in lines}) > 1:
        found.append("Seeds are not the same: " + "; ".join(f"{line.model} {', '.join(map(str, line.seeds))}"
                                                            for line in lines) + ".")
    if "planted" in metrics:
        found.append("These are generated data; the paper's numbers are not set beside them.")
    elif lines[0].publisher == "BARS":
        found.append(benchmark_note(metrics["dataset"]))
    elif metrics["dataset"] in BENCHMARKS:
        found.append("BARS' numbers are of its whole files and are not set beside these rows.")
    elif any(line.published for line in lines):
        found.append("The paper's numbers are of its own rows and settings.")
    return found


def _worth(lines: Sequence[Line], metrics: Mapping[str, Any]) -> list[str]:
    """What a constant or a chance order reaches, the standard error over rows, and what is no better or too few."""
    rows, clicks = metrics["rows"], metrics.get("clicks", {})
    models = {line.model: {"test": line.means, "standard_errors": standard_errors({"test": line.means}, rows, clicks)}
              for line in lines}
    known = {**metrics, "models": models}
    said = {name: ", ".join(f"{LABELS.get(metric, metric.upper())} {value:.4f}" for metric, value in of["test"].items())
            for name, of in reference_rows(known).items() if of.get("test")}
    if not {"constant", "by chance"} & set(said):
        return []
    names = {"constant": "a constant has", "by chance": "an order by chance has",
             "± 1 s.e.": "the standard error is, of"}
    return [f"On the test rows {'; '.join(f'{names[name]} {value}' for name, value in said.items())}.",
            *chance_notes(known)]


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def markdown(lines: Sequence[Line], metrics: Mapping[str, Any]) -> str:
    """Return the table and its notes in Markdown."""
    header, rows = cells(lines)
    table = ["| " + " | ".join(header) + " |", "|---|" + "--:|" * (len(header) - 1),
             *("| " + " | ".join(row) + " |" for row in rows)]
    return "\n".join([*table, "", *(f"- {note}" for note in notes(lines, metrics)), ""])
