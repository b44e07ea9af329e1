"""Secrets: a key comes from the environment, stands in no file of a run, and is refused as a setting."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from ameir_pl.cli import data, search, train
from ameir_pl.cli.secrets import is_secret, refuse_secrets
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny

KEY = "5ec2e7" + "0123456789abcdef" * 2 + "fa"
WAYS = [f"+logger.wandb.api_key={KEY}", f"+logger.wandb.settings.api_key={KEY}", f"++logger.wandb.token={KEY}",
        f"+logger.wandb.settings={{api_key:{KEY}}}", f"+logger.wandb.settings={{mode: offline, apiKey: {KEY}}}",
        f"+wandb_api_key={KEY}", f"+trainer.password={KEY}", f"dataset.options={{secret:{KEY}}}",
        f"+logger.wandb.credentials.value={KEY}", f"--api-key={KEY}", f"+logger.wandb.api_key={KEY},{KEY}",
        f"+logger.wandb={{api_key: {KEY} not ended", f"+logger.wandb.api_key='{KEY}", f"WANDB_API_KEY={KEY}",
        f"+logger.wandb.client_secret={KEY}", f"+logger.wandb.ACCESS_TOKEN={KEY}"]


def everything(folder: Path) -> bytes:
    """Return every byte and every name under a folder."""
    return b"\n".join(p.read_bytes() if p.is_file() else str(p).encode() for p in sorted(folder.rglob("*")))


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_on_the_command_line_is_refused_before_anything_is_written(
        way: str, tiny: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    for flags in ([], ["--multirun"], ["--cfg", "job"]):
        with pytest.raises(AmeirError, match="is a secret and cannot be a setting.* WANDB_API_KEY.*wandb login"
                           ) as error:
            search.main([*tiny("logger=wandb", way), *flags])
        assert KEY not in str(error.value) and "\n" not in str(error.value)
    for main in (train.main, data.prepare):
        with pytest.raises(AmeirError, match="is a secret"):
            main(tiny(way))
    assert not tiny.runs.exists()
    assert KEY not in "".join(capsys.readouterr())


def test_from_a_shell_neither(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["search.py", *tiny(f"+logger.wandb.api_key={KEY}", "debug=true")])
    with pytest.raises(SystemExit) as stopped:
        search.main()
    said = "".join(capsys.readouterr())
    assert stopped.value.code == 2 and "WANDB_API_KEY" in said and KEY not in said


@pytest.mark.parametrize("way", [f"run={KEY}", "+logger.wandb.notes=${oc.env:WANDB_API_KEY}",
                                 f"+logger.wandb.tags=[a,x{KEY}]", "run=${oc.env:WANDB_API_KEY}"])
def test_the_value_itself_is_refused_under_any_name(way: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with pytest.raises(AmeirError, match=r"holds the value of \$WANDB_API_KEY, which is a secret") as error:
        search.main(tiny("logger=wandb", way))
    assert KEY not in str(error.value) and not tiny.runs.exists()


def test_a_configuration_file_cannot_hold_one(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from ameir_pl.cli import compose

    raw = compose.raw_config

    def with_key(name: str, overrides: list[str]) -> object:
        return raw(name, [*overrides, f"+logger.wandb.api_key={KEY}"])

    monkeypatch.setattr(compose, "raw_config", with_key)
    with pytest.raises(AmeirError, match="'logger.wandb.api_key' is a secret") as error:
        search.main(tiny("logger=wandb"))
    assert KEY not in str(error.value) and not tiny.runs.exists()


@pytest.mark.parametrize("way", ["+logger.wandb.api_key=null", "+dataset.options.columns=[user:token,item:token]",
                                 "run=tokens-and-keys"])
def test_what_is_none_is_not_refused(way: str, tiny: Tiny) -> None:
    search.main([*tiny(way), "--cfg", "job"])


def test_names() -> None:
    for name in ("api_key", "apikey", "apiKey", "API_KEY", "wandb_api_key", "token", "hf_token", "password", "passwd",
                 "client_secret", "secret-key", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "private_key", "TOKENS"):
        assert is_secret(name), name
    for name in ("key", "keys", "tokenizer", "token_type", "max_tokens_seen", "keep", "PWD", "author", "monkey", "seed",
                 "secretary", "user:token"):
        assert not is_secret(name), name


def test_a_run_with_wandb_holds_no_key(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                       capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("wandb")
    key = secrets.token_hex(20)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", key)
    monkeypatch.setenv("WANDB_MODE", "offline")
    search.main(tiny("stage=1", "logger=wandb", "checkpoint.every_steps=3"))
    assert list((tiny.folder() / "wandb").glob("offline-run-*"))
    found = everything(tmp_path)
    assert len(found) > 10_000 and b"auc" in found
    for form in (key, key[:20], key[20:], key[::-1]):
        assert form.encode() not in found
    said = capfd.readouterr()
    assert key not in said.out + said.err


def test_unfinished_work_holds_no_key(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from ameir_pl.search import behavior_step

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", "offline")
    kept = []
    save = behavior_step.best_of

    def fail(*arguments: object) -> None:
        kept.append(save)
        raise ValueError("the power went out")

    monkeypatch.setattr(behavior_step, "best_of", fail)
    with pytest.raises(ValueError, match="the power went out"):
        search.main(tiny("stage=1", "checkpoint.every_steps=3"))
    found = everything(tiny.runs)
    assert kept and b"journal" in b"".join(str(p).encode() for p in tiny.runs.rglob("*"))
    assert KEY.encode() not in found and b"hyper_parameters" not in found and b"hparams" not in found


@pytest.mark.parametrize("argument", ["dataset.source=/data/secret=1/clicks.yaml", "paths.data=/mnt/token=a/x",
                                      "+logger.wandb.notes='bug with token: fixed'", "dataset=movielens",
                                      "dataset.options={min_count: 5, tokens_per_row: 3}"])
def test_what_is_no_secret_is_not_refused(argument: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "movielens")
    refuse_secrets([argument])
