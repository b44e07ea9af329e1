"""The user's column, what is new in the test rows, odd names, and that a description is tried before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ameir_pl.data.infer import Guessed, default_output, infer_description
from ameir_pl.data.table import Table
from ameir_pl.data.table_description import Description, read_description
from ameir_pl.errors import AmeirError

ROWS = 300


def write(folder: Path, head: str, row: Any, name: str = "a.csv", separator: str = ",") -> Path:
    lines = [head, *(row(i) for i in range(ROWS))]
    (folder / name).write_text("\n".join(lines).replace(",", separator) + "\n", encoding="utf-8")
    return folder / name


def simple(i: int) -> str:
    return f"{i % 3 % 2},h{i % 17},i{i % 11},{1_700_000_000 + 7200 * i}"


def infer(path: Path, label: str = "click", **hints: Any) -> tuple[Guessed, Description]:
    output = default_output(str(path))
    guessed = infer_description(str(path), label, output, **hints)
    output.write_text(guessed.text, encoding="utf-8")
    return guessed, read_description(output)


@pytest.mark.parametrize("name", [
    "household_id", "customer_id", "member", "visitor", "uid", "account", "client_id", "device_id", "session_id",
    "userId", "USER_ID", "user_no", "hh_key", "CustomerNumber", "cookie_id", "usr", "subscriber_id", "user_hash"])
def test_the_user_by_its_name(name: str, tmp_path: Path) -> None:
    guessed, about = infer(write(tmp_path, f"click,{name},item,ts", simple), events=str(tmp_path / "a.csv"))
    assert about.user == name and about.behaviors is not None
    assert not any("no histories" in line for line in guessed.lines)


@pytest.mark.parametrize("name", ["device", "session", "ip", "usage", "user_agent", "customer_segment", "who"])
def test_what_names_no_user(name: str, tmp_path: Path) -> None:
    guessed, about = infer(write(tmp_path, f"click,{name},item,ts", simple), events=str(tmp_path / "a.csv"))
    assert about.user == "" and about.behaviors is None
    assert any("no histories" in line and "user=COLUMN names it" in line for line in guessed.lines)
    _, about = infer(write(tmp_path, f"click,{name},item,ts", simple), events=str(tmp_path / "a.csv"), user=name)
    assert about.user == name and about.behaviors is not None
    assert {f.name: f.group for f in about.fields}[name] == "user"


def test_of_several_users_one_is_taken_and_said(tmp_path: Path) -> None:
    path = write(tmp_path, "click,session_id,customer_id,item,ts",
                 lambda i: f"{i % 3 % 2},s{i % 29},c{i % 7},i{i % 11},{1_700_000_000 + i}")
    guessed, about = infer(path)
    assert about.user == "customer_id"
    assert "customer_id is taken for the user; session_id could be it too: user=session_id" in guessed.lines
    assert infer(path, user="session_id")[1].user == "session_id"
    with pytest.raises(AmeirError, match="user=sesion_id: there is no such column. Did you mean 'session_id'"):
        infer(path, user="sesion_id")


def test_a_user_with_gaps_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user_id,item,ts", lambda i: (
        simple(i) if i % 9 else f"0,,i{i % 11},{1_700_000_000 + i}"))
    guessed, about = infer(path)
    assert about.user == "" and any(line.startswith("user_id: named like the user, but 34 of 300 rows have none")
                                    for line in guessed.lines)


def test_the_item_as_the_user_of_the_package_says(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user,thing,ts", simple)
    assert {f.name: f.group for f in infer(path)[1].fields}["thing"] == "context"
    assert {f.name: f.group for f in infer(path, item="thing")[1].fields}["thing"] == "target"
    with pytest.raises(AmeirError, match="item=thng"):
        infer(path, item="thng")


def test_ids_that_are_new_in_every_test_row_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user,item,basket_id,week,ts", lambda i: (
        f"{i % 3 % 2},u{i % 17},i{i % 11},{i // 3},{i // 20},{1_700_000_000 + 7200 * i}"))
    guessed, about = infer(path)
    assert {"basket_id", "week"}.isdisjoint(f.name for f in about.fields)
    assert {"user", "item", "hour", "weekday"} <= {f.name for f in about.fields}
    assert any(line.startswith("basket_id: left out (new in 100 % of the test rows") for line in guessed.lines)
    assert "# - {name: week" in guessed.text and not guessed.error
    # At random, weeks are met in training.
    assert "week" in {f.name for f in infer(path, time="none")[1].fields}


def test_users_that_are_new_stay_with_a_remark(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user_id,item,color,ts", lambda i: (
        f"{i % 3 % 2},u{i // 3},i{i % 11},{'rgb'[i % 3]},{1_700_000_000 + 7200 * i}"))
    guessed, about = infer(path)
    assert about.user == "user_id" and "user_id" in {f.name for f in about.fields}
    assert any(line.startswith("user_id: categorical") and "new in 100 % of the test rows" in line
               for line in guessed.lines)


def test_a_description_that_fails_is_not_presented_as_ready(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user,item,ts", lambda i: f"{int(i > 280)},u{i % 17},i{i % 11},{1_700_000_000 + i}")
    guessed, _ = infer(path)
    assert "every train row has the label 0" in guessed.error
    assert guessed.text.startswith("# Not ready: ") and str(tmp_path / "a.yaml") in guessed.error
    assert "/ameir-infer-" not in guessed.error


def test_lines_that_cannot_be_read_are_counted_and_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user,item,ts", lambda i: "1,u1,i1" if i in (40, 90) else simple(i))
    guessed, about = infer(path)
    assert "line 42: 3 columns where 4" in guessed.unread and not guessed.error
    assert any(line.startswith("2 lines cannot be read") for line in guessed.lines)
    write(tmp_path, "click,user,item,ts", lambda i: "1,u1,i1" if i % 2 else simple(i))
    with pytest.raises(AmeirError, match="line 3: 3 columns where 4"):
        infer(path)


def test_only_the_first_rows_of_a_large_table_are_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ameir_pl.data.trial.SMALL", 0)
    monkeypatch.setattr("ameir_pl.data.trial.ROWS", 100)
    path = write(tmp_path, "click,user,item,ts", simple)
    sizes: list[int] = []
    real = Table.encode

    def encode(self: Table, *arguments: Any) -> Any:
        tables = real(self, *arguments)
        sizes.append(sum(tables.rows.values()))
        return tables

    monkeypatch.setattr(Table, "encode", encode)
    guessed, _ = infer(path, events=str(path))
    assert not guessed.error and sizes == [100]


@pytest.mark.parametrize("name", ["年龄", "a b", "a.b", "it's", 'q"q', "x:y", "ключ", "a/b", "#no", "- a", "null",
                                  "1e", "é"])
def test_odd_names_of_columns(name: str, tmp_path: Path) -> None:
    head = '"' + name.replace('"', '""') + '"'
    path = write(tmp_path, f"click,user,{head},ts", simple)
    guessed, about = infer(path)
    assert name in {f.name for f in about.fields} and not guessed.error
    data = Table(raw="none", encoded=tmp_path / "encoded", source=about.path).prepare()
    assert set(data.vocabulary(name)) == {f"i{i}" for i in range(11)}
    labelled = write(tmp_path, f"{head},user,item,ts", simple)
    assert infer(labelled, name)[1].label == name


def test_the_separator_and_the_columns_as_the_user_says(tmp_path: Path) -> None:
    path = write(tmp_path, "click,user,item,ts", simple, separator="~")
    guessed, about = infer(path, separator="~")
    assert about.source.separator == "~" and len(Table(raw="n", encoded=tmp_path, source=about.path).prepare()) == ROWS
    with pytest.raises(AmeirError, match="separator=ab"):
        infer(path, separator="ab")
    bare = tmp_path / "ratings.dat"
    bare.write_text("\n".join(simple(i).replace(",", "::") for i in range(ROWS)) + "\n")
    with pytest.raises(AmeirError, match=r"no header.*columns=\[label,user"):
        infer(bare)
    guessed, about = infer(bare, columns=["click", "user", "item", "ts"])
    assert about.source.columns == ("click", "user", "item", "ts") and not guessed.error
    assert len(Table(raw="n", encoded=tmp_path, source=about.path).prepare()) == ROWS
