"""The public splits of BARS: files of the published form, encoded by their rules, against plain Python."""

from __future__ import annotations

import datetime
import gzip
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ameir_pl.cli import data as commands
from ameir_pl.data import DATASETS, Encoded
from ameir_pl.data.bars import SPLITS, log_squared
from ameir_pl.errors import AmeirError
from ameir_pl.schema import OOV, PAD

Row = dict[str, str]
ROWS = {"train": 160, "valid": 40, "test": 40}
INTEGERS, CATEGORIES = [f"I{i}" for i in range(1, 14)], [f"C{i}" for i in range(1, 27)]
AVAZU = ["banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category", "device_id",
         "device_ip", "device_model", "device_type", "device_conn_type", *(f"C{i}" for i in range(14, 22))]
USER = ["cms_segid", "cms_group_id", "final_gender_code", "age_level", "pvalue_level", "shopping_level", "occupation",
        "new_user_class_level"]


def criteo_x4(rng: np.random.Generator, label: int) -> Row:
    numbers = [rng.choice(["", "0", "1", "2", "3", "-1", "17", "1500"]) for _ in INTEGERS]
    words = ["" if rng.random() < 0.1 else f"{rng.integers(3, 8) * 0x1f2e3d4c:08x}" for _ in CATEGORIES]
    return dict(zip(["Label", *INTEGERS, *CATEGORIES], [str(label), *numbers, *words], strict=True))


def criteo_x1(rng: np.random.Generator, label: int) -> Row:
    numbers = [f"{rng.random() * 3:.4f}" for _ in INTEGERS]
    words = [str(1000 * i + rng.integers(6)) for i, _ in enumerate(CATEGORIES)]
    return dict(zip(["label", *INTEGERS, *CATEGORIES], [str(label), *numbers, *words], strict=True))


def avazu_x4(rng: np.random.Generator, label: int) -> Row:
    values = {name: f"{rng.integers(5):08x}" for name in AVAZU}
    hour = f"1410{rng.integers(21, 31)}{rng.integers(24):02d}"
    return {"id": str(rng.integers(2**60)), "click": str(label), "hour": hour, "C1": "1005", **values}


def avazu_x1(rng: np.random.Generator, label: int) -> Row:
    return {"label": str(label), **{f"feat_{i}": str(100 * i + rng.integers(5)) for i in range(1, 23)}}


def taobao_x1(rng: np.random.Generator, label: int) -> Row:
    length = int(rng.integers(0, 6))
    lists = [[str(rng.integers(1, 7)) for _ in range(length)] for _ in range(3)]
    if length > 2:
        lists[2] = lists[2][1:]  # a behavior without a brand
    return {"clk": str(label), **{name: "^".join(found) for name, found in
                                  zip(("btag_his", "cate_his", "brand_his"), lists, strict=True)},
            "userid": str(rng.integers(4)), **{name: str(rng.integers(3)) for name in USER},
            **{name: str(rng.integers(1, 7)) for name in ("adgroup_id", "cate_id", "campaign_id", "customer", "brand")},
            "price": f"{rng.random() * 90:.1f}", "pid": "430548_1007", "btag": "1"}


MADE = {"criteo_x1": criteo_x1, "criteo_x4": criteo_x4, "avazu_x1": avazu_x1, "avazu_x4": avazu_x4,
        "taobaoad_x1": taobao_x1}
DATASET = {"criteo_x1": ("criteo", "x1"), "criteo_x4": ("criteo", "x4"), "avazu_x1": ("avazu", "x1"),
           "avazu_x4": ("avazu", "x4"), "taobaoad_x1": ("alimama", "x1")}


def write(folder: Path, name: str) -> dict[str, list[Row]]:
    """Write the files of a split and return their rows."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, made = np.random.default_rng(5), {}
    for part in SPLITS[name].rows:
        rows = [MADE[name](rng, int(rng.random() < 0.3)) for _ in range(ROWS[part])]
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")
        made[part] = rows
    return made


def dataset(name: str, tmp_path: Path, source: Path | None = None, **options: Any) -> Any:
    kind, preset = DATASET[name]
    more = {"max_len": 50} if kind == "alimama" else {}
    return DATASETS.get(kind)(raw=tmp_path / "raw" / kind, encoded=tmp_path / "encoded", source=source, preset=preset,
                              **more, **options)


def prepared(name: str, tmp_path: Path, **options: Any) -> tuple[Encoded, dict[str, list[Row]]]:
    kind, preset = DATASET[name]
    made = write(tmp_path / "raw" / kind / preset, name)
    return dataset(name, tmp_path, **options).prepare(), made


def fields_of(name: str, row: Row) -> dict[str, str | None]:
    """The categories of a row by FuxiCTR's rules, written out; None is a gap."""
    if name == "criteo_x4":
        found: dict[str, str | None] = {c: row[c] or None for c in CATEGORIES}
        for i in INTEGERS:
            value = int(row[i] or 0)
            bucket = math.floor(math.log(value) ** 2) if value > 2 else value
            found[i] = str(bucket) if bucket else None
        return found
    if name == "avazu_x4":
        day = datetime.date(2000 + int(row["hour"][:2]), int(row["hour"][2:4]), int(row["hour"][4:6]))
        weekday = int(day.strftime("%w"))
        return {**{k: v for k, v in row.items() if k not in ("id", "click")}, "hour": str(int(row["hour"][6:])),
                "weekday": str(weekday), "is_weekend": str(int(weekday in (0, 6)))}
    return {k: v for k, v in row.items() if k not in ("label", "clk") and not k.endswith("_his") and k != "price"
            and not (name == "criteo_x1" and k in INTEGERS)}


@pytest.mark.parametrize("name", [n for n in MADE if n != "taobaoad_x1"])
def test_files_are_encoded_by_the_rules(name: str, tmp_path: Path) -> None:
    encoded, made = prepared(name, tmp_path)
    split = SPLITS[name]
    least = {"criteo_x4": 10, "avazu_x4": 2}.get(name, 1)
    assert encoded.schema.dataset == name and encoded.manifest["rows"] == ROWS
    assert len(encoded.schema.fields) == {"criteo_x1": 26, "criteo_x4": 39, "avazu_x1": 22, "avazu_x4": 24}[name]
    assert len(encoded.schema.dense) == (13 if name == "criteo_x1" else 0)
    rows = [fields_of(name, row) for part in ROWS for row in made[part]]
    for field in encoded.schema.fields:
        counts = Counter(row[field.name] for row in rows[:160])
        known = encoded.vocabulary(field.name)
        assert set(known) == {value for value, count in counts.items() if count >= least and value is not None}
        place = encoded.schema.field_names.index(field.name)
        column = np.asarray(encoded.columns["fields"])[:, place]
        assert column.tolist() == [known.get(row[field.name] or "", OOV) for row in rows]
    labels = [float(row.get("label") or row.get("Label") or row.get("click") or 0) for part in ROWS
              for row in made[part]]
    assert np.asarray(encoded.columns["label"]).tolist() == labels
    assert encoded.manifest["notes"][f"rows against {split.title} as published"].startswith("train 160 where it has")
    assert "BARS, its own train, validation and test rows" in dataset(name, tmp_path).protocol


def test_taobaoad_x1(tmp_path: Path) -> None:
    encoded, made = prepared("taobaoad_x1", tmp_path, min_count=1)
    rows = encoded.manifest["rows"]
    assert rows == {"train": 152, "valid": 8, "test": 40} and not encoded.schema.sessions
    assert [b.name for b in encoded.schema.behaviors] == ["cate_id", "brand", "btag"] and encoded.schema.has_target
    known = {name: encoded.vocabulary(name) for name in ("cate_id", "brand", "btag")}
    batch = encoded.gather(np.arange(160, 200))
    for i, row in enumerate(made["test"]):
        tags, cates, brands = (row[f"{name}_his"].split("^") if row[f"{name}_his"] else []
                               for name in ("btag", "cate", "brand"))
        brands = [""] * (len(cates) - len(brands)) + brands
        expected = [[known["cate_id"].get(c, OOV), known["brand"].get(b, OOV), known["btag"].get(t, OOV)]
                    for c, b, t in zip(cates, brands, tags, strict=True)]
        assert batch.behaviors[i].tolist() == expected + [[PAD] * 3] * (batch.mask.shape[1] - len(expected))
    assert dataset("taobaoad_x1", tmp_path).min_count == 10


def test_numbers_of_criteo_x4_by_hand() -> None:
    values = pl.Series("I1", [None, -3, -1, 0, 1, 2, 3, 4, 17, 1500, 2**31], pl.Int64)
    assert log_squared(values).to_list() == [None, -3, -1, None, 1, 2, 1, 1, 8, 53, 461]


def test_gzipped_parts_and_another_source(tmp_path: Path) -> None:
    plain, _ = prepared("avazu_x1", tmp_path)
    write(tmp_path / "other", "avazu_x1")
    for path in (tmp_path / "other").glob("*.csv"):
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    other = dataset("avazu_x1", tmp_path, tmp_path / "other").prepare()
    assert np.array_equal(other.columns["fields"], plain.columns["fields"])


@pytest.mark.bad_input
@pytest.mark.parametrize(("name", "files", "message"), [
    ("criteo_x4", "criteo_x1", r"column 'I1': found '.*' where a whole number.*take the files of Criteo_x4"),
    ("criteo_x1", "criteo_x4", r"a whole number or nothing was expected.*take the files of Criteo_x1"),
    ("avazu_x4", "avazu_x1", "the header lacks click, hour"),
    ("avazu_x1", "avazu_x4", "the header lacks label, feat_1"),
    ("taobaoad_x1", "avazu_x4", "the header lacks")])
def test_files_of_another_split_are_refused(name: str, files: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "files", files)
    with pytest.raises(AmeirError, match=message):
        dataset(name, tmp_path, tmp_path / "files").prepare()


@pytest.mark.bad_input
def test_what_is_missing_or_no_split_is_said(tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match=r"x4/train.csv, .*test.csv are missing; preset=x4 reads.*reczoo/Datasets"):
        dataset("criteo_x4", tmp_path).prepare()
    write(tmp_path / "raw" / "criteo", "criteo_x4")
    with pytest.raises(AmeirError, match="train.csv is one file; preset=x4 reads"):
        dataset("criteo_x4", tmp_path, tmp_path / "raw" / "criteo" / "train.csv").prepare()
    write(tmp_path / "raw" / "avazu", "avazu_x4")
    for kind in ("criteo", "avazu"):  # without a preset train.csv would be split once more
        with pytest.raises(AmeirError, match="a split that was made already.*Read them with preset=x4"):
            DATASETS.get(kind)(raw=tmp_path / "raw" / kind, encoded=tmp_path / "encoded").prepare()
        with pytest.raises(AmeirError, match="there is no preset 'x3'"):
            DATASETS.get(kind)(raw=tmp_path, encoded=tmp_path, preset="x3")
    with pytest.raises(AmeirError, match="preset=x4 reads a public split"):
        commands.generate(["dataset=criteo", "preset=x4", f"output={tmp_path / 'made'}"])
