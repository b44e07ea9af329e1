"""Settings written for a shell and Hydra: what a message suggests can be pasted, and paths are taken as they are."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ameir_pl.cli.command_line import as_written, named_run, setting
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.data import infer
from ameir_pl.errors import AmeirError

NAMES = ["my clicks.yaml", "it's.csv", "x=y.csv", "a,b.csv", "$HOME.csv", "x(1).csv", "Klicks März.csv", "点击.csv",
         "[x].csv", "a[1].csv", "~/x", "a\\b.csv", "a\\'b.csv", "a\"b'c.csv", "a#b;c&d|e`f`!.csv", "C:\\x\\",
         "plain/x-1.yaml", "glob(x)", "a{b}.csv"]
LIKE_VALUES = ["null", "1e3", "true", " lead.csv", "'q'.csv"]


def source(*overrides: str) -> str | None:
    found: str | None = load_config("search", ["dataset=table", *as_written(overrides)])[0].dataset.source
    return found


@pytest.mark.parametrize("name", NAMES + LIKE_VALUES)
def test_a_suggested_setting_survives_the_shell_and_hydra(name: str) -> None:
    words = shlex.split(f"ameir data prepare {setting('dataset.source', name)}")
    assert source(words[-1]) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_path_quoted_for_the_shell_alone_is_taken_as_it_is(name: str) -> None:
    assert source(f"dataset.source={name}") == name


def test_what_hydra_reads_stays_as_it_is() -> None:
    kept = ["run=a b", "dataset.source='my clicks.yaml'", "dataset.source=a.yaml", "seed=1,2", "space.norms=[a,b]",
            "columns=[user,item]", "architecture=a(1).yaml"]
    assert as_written(kept) == kept
    assert as_written(["dataset.source=a.yaml,b.yaml"], many=True) == ["dataset.source=a.yaml,b.yaml"]
    assert source("dataset.source=null") is None


def test_a_run_is_named_with_its_source() -> None:
    config = load_config("search", as_written(["dataset=table", "dataset.source=my (1).yaml", "run=x",
                                               "paths.runs=other runs"]))[0]
    words = shlex.split(named_run(config))
    again = load_config("search", words)[0]
    assert (again.dataset.source, again.paths.runs, again.run) == ("my (1).yaml", "other runs", "x")
    assert not any(word.startswith("paths.data") for word in words)


@pytest.mark.parametrize("name", ["my clicks.csv", "Klicks März (2), a=b.csv", "it's $HOME 点击.csv"])
def test_what_infer_suggests_can_be_pasted(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "click,user,item,ts\n" + "".join(f"{i % 2},{i % 7},{i % 5},{1_700_000_000 + i}\n" for i in range(80))
    (tmp_path / name).write_text(rows)
    path = infer([f"input={tmp_path / name}", "label=click"])
    suggested = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ameir ")]
    assert len(suggested) == 2
    for line in suggested:
        given = [word for word in shlex.split(line) if word.startswith("dataset.source=")]
        assert source(*given) == str(path)


def test_a_key_that_infer_lacks_is_not_looked_up_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(AmeirError, match="Unknown configuration key 'zzz'") as caught:
        infer([f"input={tmp_path}/a.csv", "zzz=1"])
    assert "conf/search.yaml" not in str(caught.value)
