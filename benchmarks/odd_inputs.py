"""Odd tables and command lines, each with the one right answer or one message: all of them, shown at once.

``python -m benchmarks odd_inputs [WORD ...]`` makes every input itself, gives it to the commands and prints what they
say. A traceback, or another exit code than was expected, ends it with exit code 1. What is printed is for reading: the
right values are asserted by the tests.
"""

from __future__ import annotations

import contextlib
import csv
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

RIGHT, REFUSED, EITHER = (0,), (2,), (0, 2)
ROWS, START = 300, 1_600_000_000


class Case:
    """An input and the commands that it is given to.

    Args:
        name: of the case; its folder, too.
        make: writes the input into the current folder.
        commands: (exit codes that are right, arguments of ``ameir``).
        show: prints more of what came.
    """

    def __init__(self, name: str, make: Callable[[], None], *commands: tuple[Sequence[int], list[str]],
                 show: Callable[[], None] | None = None, environment: dict[str, str] | None = None) -> None:
        self.name, self.make, self.commands, self.show = name, make, commands, show
        self.environment = environment or {}


def rows(**more: Callable[[int, Random], Any]) -> list[dict[str, Any]]:
    """Return clicks in the order of time, with columns made of the row's number and a generator."""
    draw, out, seconds = Random(0), [], START
    for number in range(ROWS):
        seconds += draw.randrange(1, 90_000)
        row = {"click": draw.randrange(2), "user_id": draw.randrange(1, 21), "item_id": f"it{draw.randrange(15)}",
               "ts": seconds}
        row |= {name: make(number, draw) for name, make in more.items()}
        out.append(row)
    return out


def write(path: str, table: list[dict[str, Any]], separator: str = ",", header: list[str] | None = None) -> None:
    """Write a delimited table."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(header or list(table[0]))
        writer.writerows(row.values() for row in table)


def times(style: Callable[[datetime], str], missing: int = -1) -> Callable[[], None]:
    """Return what writes ``t.csv`` with its times in a style, and one missing."""
    def make() -> None:
        table = rows()
        for number, row in enumerate(table):
            moment = datetime.fromtimestamp(row.pop("ts"), UTC)
            row["timestamp"] = "" if number == missing else style(moment)
        write("t.csv", table)
    return make


def parquet(column: Callable[[int], Any], kind: Any = None) -> Callable[[], None]:
    """Return what writes ``t.parquet`` with one more column."""
    def make() -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = rows()
        arrays = {name: pa.array([row[name] for row in table]) for name in table[0]}
        arrays["odd"] = pa.array([column(n) for n in range(ROWS)], type=kind() if kind else None)
        pq.write_table(pa.table(arrays), "t.parquet")
    return make


def text(name: str, content: Callable[[], str]) -> Callable[[], None]:
    """Return what writes a file."""
    def make() -> None:
        Path(name).write_text(content(), encoding="utf-8")
    return make


def joined(separator: str, header: str | None = None) -> str:
    """Return the clicks as lines."""
    table = rows()
    lines = [separator.join(table[0]) if header is None else header]
    return "\n".join(lines + [separator.join(map(str, row.values())) for row in table]) + "\n"


def vocabularies() -> None:
    """Print the beginning of each vocabulary that was encoded."""
    import polars as pl

    for path in sorted(Path("data/encoded").glob("*/vocabulary.parquet")):
        table = pl.read_parquet(path)
        for (name, *_), part in table.group_by([table.columns[0]], maintain_order=True):
            values = part.get_columns()[1].to_list()
            print(f"  {name}: {len(values)} values, {values[:10]}")


INFER = (RIGHT, ["data", "infer", "input=t.csv", "label=click", "overwrite=true"])
PREPARE = (RIGHT, ["data", "prepare", "dataset=table", "dataset.source=t.yaml", "paths.data=data"])
BOTH = (INFER, PREPARE)
P_BOTH = ((EITHER, ["data", "infer", "input=t.parquet", "label=click", "overwrite=true"]), (EITHER, PREPARE[1]))


def train(*more: str, expected: Sequence[int] = RIGHT, command: str = "train") -> tuple[Sequence[int], list[str]]:
    """Return a small training on generated MovieLens."""
    return expected, [command, "dataset=synthetic", "model=lr", "budget=demo", "logger=csv", "paths.data=data",
                      "budget.finetune_epochs=1", *more]


def nothing() -> None:
    """The command line is the case."""


def cases() -> list[Case]:
    """Return all of them."""
    import pyarrow as pa

    genres = ["War", "Action", "Drama"]
    epoch = datetime(2020, 9, 13, tzinfo=UTC)
    return [
        Case("01 smoke run is no result", nothing, train("run=a", "+trainer.fast_dev_run=true", expected=EITHER),
             train("run=a", expected=EITHER), train("run=b", "+trainer.max_steps=3", expected=EITHER),
             train("run=b", expected=EITHER), train("run=c", "+trainer.max_time=00:00:00:01", expected=EITHER),
             train("run=c", expected=EITHER)),
        Case("02 keys of Lightning", nothing, train("run=a", "+trainer.max_steps=5"),
             train("run=b", "+trainer.overfit_batches=1", expected=EITHER),
             train("run=c", "trainer.accelerator=tpu", expected=REFUSED),
             train("run=d", "+trainer.profiler=simple", expected=EITHER),
             train("run=e", "+trainer.limit_val_batches=1", expected=EITHER),
             train("run=f", "+trainer.max_epochs=1", expected=EITHER),
             train("run=g", "+trainer.accumulate_grad_batches=2", expected=EITHER)),
        Case("03 lists of Python", lambda: write("t.csv", rows(
            genres=lambda n, d: str(d.sample(genres, d.randrange(1, 4))),
            hist_item_id=lambda n, d: str([f"it{d.randrange(15)}" for _ in range(d.randrange(1, 5))]))), *BOTH,
            show=vocabularies),
        Case("03 lists of JSON", lambda: write("t.csv", rows(
            genres=lambda n, d: '["' + '", "'.join(d.sample(genres, d.randrange(1, 4))) + '"]',
            hist_item_id=lambda n, d: json.dumps([f"it{d.randrange(15)}" for _ in range(d.randrange(5))]))), *BOTH,
            show=vocabularies),
        *(Case(f"{'04' if '%y' in style else '05'} dates as {style}", times(lambda t, s=style: t.strftime(s)),
               (EITHER, INFER[1]), (EITHER, PREPARE[1]))
          for style in ("%d/%m/%y %H:%M", "%m/%d/%y", "%y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y %H:%M", "%b %d, %Y",
                        "%Y-%m-%d %H:%M:%S UTC", "%a, %d %b %Y %H:%M:%S +0000", "%Y%m%d", "%I:%M %p %d-%b-%Y")),
        Case("05 one time is missing", times(lambda t: t.isoformat(), missing=100), (EITHER, INFER[1]),
             (EITHER, PREPARE[1])),
        Case("05 seconds and milliseconds", lambda: write("t.csv", [
            row | {"ts": row["ts"] * (1000 if n % 2 else 1)} for n, row in enumerate(rows())]),
            (EITHER, INFER[1]), (EITHER, PREPARE[1])),
        *(Case(f"06 labels {values}", lambda v=values: write("t.csv", [
            row | {"click": v[row["click"]]} for row in rows()]), (EITHER, INFER[1]), (EITHER, PREPARE[1]))
          for values in ((1, 2), ("no", "yes"), ("N", "Y"), ("", 1), (-1, 1), (" 0", " 1"), ("0.0", "1.0"), (0, 0))),
        Case("07 ids that never meet", lambda: (
            write("e.csv", [{"user_id": r["user_id"], "item_id": f"{100 + n % 15}.0", "ts": r["ts"] - 9}
                            for n, r in enumerate(rows())]),
            write("t.csv", [r | {"item_id": 100 + n % 15} for n, r in enumerate(rows())]),
            Path("t.yaml").write_text(
                "input: t.csv\nlabel: click\nuser: user_id\ntime: ts\nfields:\n  - {name: user_id}\n"
                "  - {name: item_id, dtype: str, group: target}\nbehaviors:\n  input: e.csv\n  user: user_id\n"
                "  time: ts\n  fields:\n    - {name: item_id, dtype: str, share_embedding: item_id}\n"))[0],
            PREPARE, show=vocabularies),
        Case("07 ids that have nothing in common", lambda: (
            write("e.csv", [{"user_id": r["user_id"], "item_id": f"sku-{n % 15}", "ts": r["ts"] - 9}
                            for n, r in enumerate(rows())]),
            write("t.csv", rows()),
            Path("t.yaml").write_text(
                "input: t.csv\nlabel: click\nuser: user_id\ntime: ts\nfields:\n  - {name: user_id}\n"
                "  - {name: item_id, dtype: str, group: target}\nbehaviors:\n  input: e.csv\n  user: user_id\n"
                "  time: ts\n  fields:\n    - {name: item_id, dtype: str, share_embedding: item_id}\n"))[0],
            (REFUSED, PREPARE[1])),
        Case("08 the index of pandas", lambda: write("t.csv", [{"": n} | r for n, r in enumerate(rows())]), *BOTH),
        Case("08 an empty last column", lambda: write("t.csv", [r | {"": ""} for r in rows()]), *BOTH),
        Case("09 decimal commas", lambda: write("t.csv", rows(price=lambda n, d: f"{n % 30},{n % 10}5"), ";"), *BOTH,
             show=vocabularies),
        Case("10 ::", text("t.csv", lambda: joined("::")), *BOTH),
        Case("10 blanks", text("t.csv", lambda: joined(" ")), *BOTH),
        Case("10 RecBole with commas", text("t.inter", lambda: joined(",", "click:float,user_id:token,item_id:token,"
                                                                      "ts:float")),
             (RIGHT, ["data", "infer", "input=t.inter", "label=click", "overwrite=true"]), PREPARE),
        Case("10 JSON lines", text("t.json", lambda: "".join(
            json.dumps(row) + "\n" for row in rows())),
            (RIGHT, ["data", "infer", "input=t.json", "label=click", "overwrite=true"]), PREPARE),
        Case("10 Feather", lambda: __import__("polars").DataFrame(rows()).write_ipc("t.feather"),
             (RIGHT, ["data", "infer", "input=t.feather", "label=click", "overwrite=true"]), PREPARE),
        Case("11 durations", parquet(lambda n: timedelta(seconds=n)), *P_BOTH),
        Case("11 times of day", parquet(lambda n: (epoch + timedelta(minutes=n)).time()), *P_BOTH),
        Case("11 vectors", parquet(lambda n: [n / 7, -n / 3, 0.5]), *P_BOTH, show=vocabularies),
        Case("11 NaN in lists", parquet(lambda n: [float(n % 5), float("nan")], lambda: pa.list_(pa.float64())),
             *P_BOTH, show=vocabularies),
        Case("11 infinity", parquet(lambda n: float("inf") if n % 9 == 0 else n / 7), *P_BOTH),
        *(Case(f"12 {line}", nothing, train(*line.split(), expected=EITHER)) for line in (
            "-m model=glob(l*)", "-m dataset.train.learning_rate=interval(0.001,0.1)", "~logger", "~scheduler",
            "~dataset.train", "-m seed=range(1,3) run=r${seed}", "hydra.run.dir=elsewhere", "--config-dir=mine")),
        *(Case(f"13 {line}", nothing, train(*line.split(), expected=REFUSED)) for line in (
            "seed=1,2 +trainer.limit_train_batches=5", "~trainer.gradient_clip +trainer.limit_train_batches=5",
            "seed=abc +trainer.limit_train_batches=5", "trainer.max_stepz=5")),
        Case("14 jobs that share a folder", nothing, train("-m", "seed=1,2", "run=m", expected=REFUSED)),
        Case("15 W&B without a key", nothing, train("logger=wandb", "logger.wandb.offline=false", expected=REFUSED)),
        Case("15 WANDB_MODE=disabled", nothing, train("logger=wandb", "run=w"),
             environment={"WANDB_MODE": "disabled"},
             show=lambda: print("  files:", sorted(str(p) for p in Path("runs").rglob("*wandb*")))),
        Case("17 longer than max_len", lambda: (
            write("t.csv", rows(past=lambda n, d: f"old{n}^mid{n}^new{n}")),
            Path("t.yaml").write_text(
                "input: t.csv\nlabel: click\ntime: ts\nfields:\n  - {name: item_id, group: target}\n"
                "  - {name: user_id, group: user}\n  - {name: past, type: sequence, splitter: '^', max_len: 2}\n"))[0],
            PREPARE, show=vocabularies),
        Case("18 a name with a blank", lambda: write("my clicks.csv", rows()),
             (RIGHT, ["data", "infer", "input='my clicks.csv'", "label=click"])),
        Case("19 ties in time", lambda: (
            write("t.csv", [{"user_id": n // 8, "item_id": n * 7 % 300, "ts": START + n % 8 // 4 * 86_400}
                            for n in range(2400)]),
            Path("t.yaml").write_text("task: retrieval\ninput: t.csv\nuser: user_id\nitem: item_id\ntime: ts\n"
                                      "behaviors: {max_len: 20}\n"))[0],
            PREPARE),
        Case("19 ties at the boundary of a split", lambda: (
            write("t.csv", [r | {"ts": r["ts"] // 864_000 * 864_000} for r in rows()]),
            Path("t.yaml").write_text("input: t.csv\nlabel: click\nuser: user_id\ntime: ts\nfields:\n"
                                      "  - {name: user_id}\n  - {name: item_id, group: target}\n"))[0], PREPARE),
        Case("20 columns that give the label away", lambda: write("t.csv", [
            r | {"rating": 4 + n % 2 if r["click"] else 1 + n % 3, "conversion": int(r["click"] and n % 2),
                 "dwell_time": (1 + n) / 7 if r["click"] else 0.0} for n, r in enumerate(rows())]),
            (EITHER, INFER[1]), PREPARE),
        Case("20 rows that come twice", lambda: write("t.csv", [r for r in rows() for _ in range(2)]), *BOTH),
    ]


def run(case: Case, number: int, folder: Path) -> list[str]:
    """Run a case in a folder of its own; returns what was not right."""
    print(f"\n=== {case.name}", flush=True)
    place, wrong = folder / str(number), []
    place.mkdir()
    process = multiprocessing.get_context("fork").Process
    for step, (expected, arguments) in enumerate([((0,), None), *case.commands, ((0,), "show")]):  # type: ignore[list-item]
        if arguments == "show" and case.show is None:
            continue
        output = place / f"output{step}"
        child = process(target=_enter, args=(case, arguments, place, str(output)))
        child.start()
        child.join(300)
        if child.is_alive():
            child.kill()
        said = output.read_text(errors="replace") if output.exists() else ""
        if isinstance(arguments, list):
            print(f"$ ameir {' '.join(arguments)}")
        print("\n".join(f"  {line}" for line in said.strip().splitlines()[-14:]), flush=True)
        if isinstance(arguments, list):
            print(f"  [exit {child.exitcode}]")
        if child.exitcode not in expected or "Traceback" in said:
            wrong.append(f"{case.name}: {arguments}: exit {child.exitcode}, expected {expected}")
            print("  NOT RIGHT")
    return wrong


def _enter(case: Case, arguments: list[str] | str | None, place: Path, output: str) -> None:
    os.chdir(place)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.update(case.environment)
    if arguments is None:
        case.make()
    elif arguments == "show":
        assert case.show is not None
        case.show()
    else:
        from ameir_pl.cli import main

        sys.argv = ["ameir", *arguments]
        main.main()
    sys.stdout.flush()


def main() -> None:
    words = [w.lower() for w in sys.argv[1:]]
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return
    os.environ.pop("WANDB_API_KEY", None)
    import ameir_pl.cli.compare
    import ameir_pl.cli.data
    import ameir_pl.cli.train
    import ameir_pl.cli.tune  # noqa: F401  (imported once, here: the cases are forked)

    chosen = [c for c in cases() if not words or any(w in c.name.lower() for w in words)]
    folder = Path(tempfile.mkdtemp(prefix="odd-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        wrong = [line for number, case in enumerate(chosen) for line in run(case, number, folder)]
    print(f"\n{len(chosen)} cases, {len(wrong)} not right")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)
