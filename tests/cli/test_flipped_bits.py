"""Flipped bits and cut files of every kind that a command reads back: each is noticed, or reads exactly the same.

``pytest -rP tests/cli/test_flipped_bits.py`` says for each kind how many were noticed.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from ameir_pl.atomic import write_sealed
from ameir_pl.cli import data, derive, evaluate, export, search
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.config import RESULT_KEYS, TRAIN_KEYS
from ameir_pl.cli.run_settings import check_run_data, check_run_folder
from ameir_pl.data import Encoded, encoded, store
from ameir_pl.data.dataset import planted_truth
from ameir_pl.data.planted.writing import write_truth
from ameir_pl.errors import AmeirError
from ameir_pl.export.bundle import read_bundle
from ameir_pl.reports.table import read_metrics
from ameir_pl.search.journal import Journal
from ameir_pl.search.run_folder import RunFolder, load_weights
from tests.tiny import Tiny

FLIPS, CUTS = 20, 5
ADVICE = ("again", "overwrite=true", "Delete", "delete the", "another run")
ENCODED = ("manifest.json", "schema.json", "vocabulary.parquet", "fields.npy", "label.npy", "values.npy", "begin.npy",
           "end.npy", "starts.npy")
BUNDLE = ("weights.safetensors", "architecture.yaml", "schema.json", "vocabulary.parquet")
STAGE = ("stage1/summary.json", "stage1/supernet.ckpt", "stage1/winner.ckpt", "stage1/architecture.yaml",
         "stage1/candidates.parquet", "stage2/summary.json", "stage2/supernet.ckpt", "stage2/candidates.parquet")


@dataclass(frozen=True)
class Place:
    """A finished run, to be damaged a file at a time.

    Args:
        tiny: its overrides.
        run: its folder.
        data: its encoded data.
        journal: what an unfinished command left.
        raw: generated raw files with their truth.
    """

    tiny: Tiny
    run: Path
    data: Path
    journal: Path
    raw: Path

    @property
    def stages(self) -> RunFolder:
        """Return the run folder as commands open it."""
        about = json.loads((self.whole / "stage1/summary.json").read_text())
        return RunFolder(self.run, about["schema"], about["settings"], "python search.py dataset=movielens")

    @property
    def whole(self) -> Path:
        """Return a copy of the run that nothing damages."""
        return self.run.parent / "whole"


@pytest.fixture(scope="module")
def place(finished: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Copies of everything that a finished and an unfinished command leave."""
    root = tmp_path_factory.mktemp("flipped")
    for name in ("run", "whole"):
        shutil.copytree(finished.folder(), root / name)
    encoded_folder = next((finished.data / "encoded").glob("movielens-*"))
    data_folder = shutil.copytree(encoded_folder, root / encoded_folder.name)
    journal = Journal(root / "progress", "settings")
    journal.phase("fit").finish({"counts": {"layer": {"conv3": 7}}, "seconds": 0.1 + 0.2},
                                {"w": torch.arange(500.0), "on": torch.tensor(True)})
    under_way = journal.phase("under way")
    for step in (1, 2):
        torch.manual_seed(step)
        under_way.save(lambda path: torch.save({"state": torch.rand(300), "epoch": 3}, path), step)
    journal.phase("scoring").keep_scores([0.5, 1 / 3, 0.7])
    journal.mark()
    raw = root / "raw"
    raw.mkdir()
    (raw / "rows.txt").write_text("1\t2\n" * 50)
    write_truth(raw, {"dataset": "criteo", "bayes": {"auc": 0.7123456, "rows": 50}, "interactions": [["C1", "C2"]],
                      "rows": 50})
    return Place(Tiny(finished.dataset, finished.source, finished.data, root), root / "run", data_folder,
                 root / "progress", raw)


def plain(value: Any) -> Any:
    """Return something that is equal where all that was read is equal."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, dict):
        return [(key, plain(part)) for key, part in value.items()]
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


def read_stage(place: Place, name: str) -> Any:
    number, file = int(name[5]), name.split("/")[1]
    place.stages.finished(number)
    if file == "summary.json":
        return place.stages.summary(number)
    if file == "architecture.yaml":
        return place.stages.architecture(number).to_json()
    if file.endswith(".ckpt"):
        state, capacity = load_weights(place.stages.file(number, file))
        return plain(state), capacity.to_json()
    place.stages.check(number)
    return (place.run / name).read_bytes()


def read_config(place: Place) -> Any:
    config, composed = load_config("search", place.tiny("stage=all"))
    composed.dataset.stages = [1, 2, 3]
    saved = OmegaConf.load(place.whole / "config.yaml")
    check_run_folder(place.run, config, composed, begins=True, keys=RESULT_KEYS + TRAIN_KEYS)
    check_run_data(place.run, str(OmegaConf.select(saved, "data_fingerprint")), overwrite=False)  # type: ignore[arg-type]
    saved = OmegaConf.load(place.run / "config.yaml")
    return [str(OmegaConf.select(saved, key)) for key in (*RESULT_KEYS, *TRAIN_KEYS)]  # type: ignore[arg-type]


def read_data(place: Place) -> Any:
    opened = Encoded(place.data)
    words = [opened.vocabulary(name) for name in opened.schema.vocabularies]
    return plain([opened.columns, asdict(opened.schema), opened.manifest, words, list(opened.splits.items())])


def read_model(place: Place) -> Any:
    found = read_bundle(place.run / "model")
    model = found.model
    return plain([model.state_dict(), model.architecture.to_json(), asdict(model.schema), found.variant, found.state,
                  found.made_from, (place.run / "model/vocabulary.parquet").read_bytes()])


KINDS: dict[str, Callable[[Place], Any]] = {
    **{f"run/{name}": lambda place, name=name: read_stage(place, name) for name in STAGE},  # type: ignore[misc]
    "run/metrics.json": lambda place: read_metrics(place.run / "metrics.json"),
    "run/config.yaml": read_config,
    **{f"run/model/{name}": read_model for name in BUNDLE},
    **{f"data/{name}": read_data for name in ENCODED},
    "raw/truth.json": lambda place: planted_truth("criteo", [place.raw / "rows.txt"])}
"""Each kind of file, and how commands read it. What is read may be less than what is in the file."""


def path_of(place: Place, kind: str) -> Path:
    folder, _, name = kind.partition("/")
    return {"run": place.run, "data": place.data, "raw": place.raw, "progress": place.journal}[folder] / name


def damaged(content: bytes, seed: str) -> list[tuple[str, bytes]]:
    """Return copies with one bit flipped, anywhere, and copies that are cut anywhere."""
    generator = random.Random(seed)
    found = []
    for bit in generator.sample(range(8 * len(content)), FLIPS):
        copy = bytearray(content)
        copy[bit // 8] ^= 1 << bit % 8
        found.append((f"bit {bit}", bytes(copy)))
    found += [(f"cut at {at}", content[:at]) for at in generator.sample(range(len(content)), CUTS)]
    return found


def count(kind: str, place: Place, look: Callable[[Path, Any], bool | None]) -> dict[str, int]:
    """Damage a file in every way and return how often that was noticed; ``look`` returns None for what reads the
    same."""
    path = path_of(place, kind)
    content = path.read_bytes()
    counts = {"flipped": 0, "noticed": 0, "same": 0, "cut": 0, "noticed cuts": 0, "same cuts": 0}
    try:
        for what, other in damaged(content, kind):
            path.write_bytes(other)
            noticed = look(path, what)
            bit = what.startswith("bit")
            counts["flipped" if bit else "cut"] += 1
            assert noticed is not False, f"{kind}: {what} was not noticed"
            counts[("same" if noticed is None else "noticed") + ("" if bit else " cuts")] += 1
    finally:
        path.write_bytes(content)
    print(f"{kind}: {counts['noticed']} of {counts['flipped']} flipped bits noticed, {counts['same']} read the same; "
          f"{counts['noticed cuts']} of {counts['cut']} cuts, {counts['same cuts']} the same")
    return counts


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_or_a_cut_is_noticed(kind: str, place: Place) -> None:
    read = KINDS[kind]
    expected = read(place)

    def look(path: Path, what: str) -> bool | None:
        try:
            return None if read(place) == expected else False
        except AmeirError as error:
            named = path.name in str(error) or str(path.parent) in str(error)
            assert named and any(word in str(error) for word in ADVICE), f"{what}: {error}"
            return True

    counts = count(kind, place, look)
    assert counts["noticed"] + counts["same"] == FLIPS and counts["noticed cuts"] + counts["same cuts"] == CUTS
    if path_of(place, kind).suffix not in (".yaml", ".json"):
        assert counts["same"] == counts["same cuts"] == 0, "a byte of it means nothing?"


def reopened(place: Place) -> Journal:
    return Journal(place.journal, "settings")


UNFINISHED: dict[str, tuple[Callable[[Place], Any], Any]] = {
    "fit/done.json": (lambda place: reopened(place).phase("fit").done(), None),
    "fit/done.safetensors": (lambda place: reopened(place).phase("fit").done(), None),
    "under way/step-2.ckpt": (lambda place: reopened(place).phase("under way").checkpoint(), "step-1.ckpt"),
    "under way/checkpoints.json": (lambda place: reopened(place).phase("under way").checkpoint(), None),
    "scoring/scores.json": (lambda place: reopened(place).phase("scoring").scores(), []),
    "journal.json": (lambda place: reopened(place)._left()[0], None)}
"""Unfinished work: how it is read, and what is gone on with where it is damaged."""


@pytest.mark.parametrize("kind", UNFINISHED)
def test_unfinished_work_that_is_damaged_is_said_and_done_again(kind: str, place: Place,
                                                                capsys: pytest.CaptureFixture[str]) -> None:
    read, instead = UNFINISHED[kind]
    expected = plain(read(place))
    capsys.readouterr()

    def look(path: Path, what: str) -> bool | None:
        found = read(place)
        said = capsys.readouterr().err if kind != "journal.json" else reopened(place)._left()[1]
        if plain(found) == expected and not said:
            return None
        assert path.name in said or "other settings" in said, f"{what}: {said}"
        return (found.name if isinstance(found, Path) else found) == instead

    counts = count(f"progress/{kind}", place, look)
    assert counts["noticed"] + counts["same"] == FLIPS and counts["noticed cuts"] + counts["same cuts"] == CUTS
    if not kind.endswith(".json"):
        assert counts["same"] == counts["same cuts"] == 0


@pytest.fixture
def large(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, with every file of the encoded data as large as those that are not read at each start."""
    for module in (encoded, store):
        monkeypatch.setattr(module, "SMALL_FILE", 16)
    (place.data.parent / store.MEMORY).unlink(missing_ok=True)
    return place


def test_large_columns_are_read_when_something_wrote_to_them(large: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    Encoded(large.data)
    with monkeypatch.context() as patch:
        patch.setattr(store, "sha256", lambda path: pytest.fail(f"{path} was read again"))
        Encoded(large.data)

    def look(path: Path, what: str) -> bool:
        with pytest.raises(AmeirError, match=f"{path.name}: .*ameir data prepare dataset=movielens"):
            Encoded(large.data)
        return True

    assert count("data/fields.npy", large, look)["noticed"] == FLIPS
    Encoded(large.data).verify()


def test_what_a_disk_loses_by_itself_is_noticed_by_prepare(large: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = large.data / "values.npy"
    content = path.read_bytes()
    Encoded(large.data)
    stamps = store.remembered_sha256
    path.write_bytes(content[:-3] + bytes([content[-3] ^ 64]) + content[-2:])
    stated = json.loads((large.data / "manifest.json").read_text())["files"]
    # As the disk would have it: other bytes, the stamps that were remembered.
    monkeypatch.setattr(encoded, "remembered_sha256", lambda path, memory: stated[path.name]["sha256"])
    found = Encoded(large.data)
    with pytest.raises(AmeirError, match=r"values.npy: its checksum differs.*ameir data prepare dataset=movielens"):
        found.verify()
    path.write_bytes(content)
    monkeypatch.setattr(encoded, "remembered_sha256", stamps)
    found.verify()


def test_the_memory_of_checksums_is_only_a_memory(large: Place) -> None:
    expected = read_data(large)
    memory = large.data.parent / store.MEMORY
    for _, other in damaged(memory.read_bytes(), "memory"):
        memory.write_bytes(other)
        assert read_data(large) == expected


def test_a_folder_that_may_not_be_written_to_is_opened_by_sizes(large: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(store, "sha256", lambda path: pytest.fail("read, and then not remembered"))
    assert len(Encoded(large.data)) == 1500 and not (large.data.parent / store.MEMORY).exists()


def test_commands_say_it(copied: Tiny, tmp_path: Path) -> None:
    """One flipped bit for each command, through the command itself."""
    def flipped(path: Path, at: bytes) -> Callable[[], object]:
        content = path.read_bytes()
        place = content.index(at) + len(at)
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1:])
        return lambda: path.write_bytes(content)

    run = copied.folder()
    for path, at, main, more, message in (
            (run / "stage1/candidates.parquet", b"PAR", search.main, "stage=all", "candidates.parquet is damaged"),
            (run / "stage1/candidates.parquet", b"PAR", search.main, "stage=1", "candidates.parquet is damaged"),
            (run / "stage2/summary.json", b'"best": 0.', derive.main, "seed=1", "stage2/summary.json is damaged"),
            (run / "metrics.json", b'"auc": 0.', search.main, "stage=all", "metrics.json is damaged.* Delete it"),
            (run / "metrics.json", b'"auc": 0.', evaluate.main, "seed=1", "metrics.json is damaged.* Delete it"),
            (run / "model/weights.safetensors", b'"bundle":"', export.main, "format=onnx", "weights.safetensors")):
        back = flipped(path, at)
        with pytest.raises(AmeirError, match=message):
            main(copied(more))
        back()
    search.main(copied("stage=all"))
    (run / "metrics.json").unlink()
    name = read_bundle(run / "model").variant
    assert name in evaluate.main(copied())["models"], "the advice helps"

    own = shutil.copytree(copied.data, tmp_path / "data")
    column = next((own / "encoded").glob("*/fields.npy"))
    back = flipped(column, b"\n")
    with pytest.raises(AmeirError, match="fields.npy: its checksum differs"):
        data.prepare(copied(f"paths.data={own}"))
    back()
    data.prepare(copied(f"paths.data={own}"))


def test_files_of_earlier_versions_have_no_checksum_and_are_read(copied: Tiny) -> None:
    path = copied.folder() / "stage1/summary.json"
    summary = json.loads(path.read_text())
    del summary["sha256"]
    path.write_text(json.dumps(summary, indent=1))
    search.main(copied("stage=1"))
    write_sealed(path, summary)
    search.main(copied("stage=1"))
