"""Damaged files of a user's are answered with one message: no traceback, no hang, whatever was done to them.

``AMEIR_EXAMPLES=10000 pytest tests/test_mutations.py`` tries so many of each kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ameir_pl.architecture_file import read_architecture, write_architecture
from ameir_pl.cli.compose import conf_folder, load_config
from ameir_pl.data.table_description import read_description
from ameir_pl.errors import AmeirError
from ameir_pl.schema import Schema
from ameir_pl.search.run_folder import read_json
from ameir_pl.space.architecture import Architecture
from tests.models.examples import ctr_schema

EXAMPLES = int(os.environ.get("AMEIR_EXAMPLES", "60"))
ODD = ["", "null", "~", "-1", "0", "1e999", ".nan", "true", "[]", "{}", "[[[[", "}", ": :", "&a [*a]", "*b",
       "!!python/object:os.system", "'", '"', "\t", "\x00", "\x85", "é", "🦆", "2024-99-99", "0x", "__class__",
       "../../etc/passwd", "${seed}", "a" * 500, "{" * 50, "!!binary x", "<<: *a", "- - -", "? ", "|", ">", "%YAML 9"]
every = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
                 suppress_health_check=list(HealthCheck))


@st.composite
def mutated(draw: Callable[..., Any], texts: list[str]) -> bytes:
    """A text with one to four things done to it."""
    data = bytearray(draw(st.sampled_from(texts)).encode())
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        place = draw(st.integers(0, len(data) - 1))
        end = min(place + draw(st.integers(1, 12)), len(data))
        kind = draw(st.sampled_from(["flip", "cut", "odd", "twice", "token", "end"]))
        if kind == "flip":
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[place:end]
        elif kind == "odd":
            data[place:place] = draw(st.sampled_from(ODD)).encode()
        elif kind == "twice":
            data[place:place] = data[place:end]
        elif kind == "end":
            del data[place:]
        else:
            words = bytes(data).split()
            word = words[draw(st.integers(0, len(words) - 1))] if words else b"x"
            data = bytearray(bytes(data).replace(word, draw(st.sampled_from(ODD)).encode(), 1))
    return bytes(data)


ARCHITECTURES = [p.read_text() for p in sorted((conf_folder() / "architecture").rglob("*.yaml"))]


@every
@given(mutated(ARCHITECTURES))
def test_architecture_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "architecture.yaml"
    path.write_bytes(content)
    try:
        architecture = read_architecture(path)
    except AmeirError as error:
        assert str(path) in str(error)
        return
    assert isinstance(architecture, Architecture)
    write_architecture(path, architecture)
    assert read_architecture(path) == architecture, "what is read can be written and read again"


def schemas() -> list[str]:
    import json

    return [json.dumps(ctr_schema().to_dict(), indent=1)]


@every
@given(mutated(schemas()))
def test_schema_files(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "schema.json"
    path.write_bytes(content)
    try:
        schema = Schema.from_dict(read_json(path), str(path))
    except AmeirError as error:
        assert "chema" in str(error) or str(path) in str(error)
        return
    assert Schema.from_dict(schema.to_dict()) == schema


OVERRIDES = ["dataset=movielens", "budget=demo", "seed=3", "stage=2", "fairness=full", "dataset.model.mlp=[200,80]",
             "dataset.train.learning_rate=0.01", "trainer.devices=2", "space.layers=[conv1,conv3]", "optimizer.lr=1e-3",
             "budget.stage1_epochs=0.5", "architecture=paper/alimama_1", "+trainer.max_time=1", "~logger", "run=x",
             "paths.runs=/tmp/x", "checkpoint.every_minutes=3", "dataset.options.rows=10", "variant=C"]


@every
@given(st.lists(mutated(OVERRIDES), min_size=1, max_size=3), st.sampled_from(["search", "train"]))
def test_command_lines(content: list[bytes], name: str) -> None:
    words = [word.decode(errors="surrogateescape") for word in content]
    try:
        load_config(name, words)
    except AmeirError as error:
        assert str(error)


DESCRIPTION = """
input: clicks.parquet
label: click
user: user_id
time: ts
split: {type: time, valid: 0.1, test: 0.1}
join:
  - {input: items.csv, on: item_id}
fields:
  - {name: user_id, dtype: int, group: user}
  - {name: item_id, dtype: int, group: target}
  - {name: tags, type: multivalent, splitter: "|", max_len: 5, group: target}
  - {name: price, type: dense, fill_na: 0}
  - {name: hour, from: ts, part: hour}
behaviors:
  max_len: 50
  input: events.parquet
  fields:
    - {name: item, share_embedding: item_id}
"""


@every
@given(mutated([DESCRIPTION]))
def test_descriptions_of_tables(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "clicks.yaml"
    path.write_bytes(content)
    try:
        read_description(path)
    except AmeirError as error:
        assert str(path) in str(error)
