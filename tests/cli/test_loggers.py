"""W&B as the run, its own variables or our defaults say, in that order; what it lacks is said before anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from ameir_pl.cli import compare, evaluate, search, train, tune
from ameir_pl.cli.compose import load_config
from ameir_pl.cli.loggers import check_loggers, close_loggers, make_loggers
from ameir_pl.cli.setup import built
from ameir_pl.cli.wandb_settings import has_key, resolved
from ameir_pl.errors import AmeirError
from tests.tiny import Tiny, contents

KEY = "0123456789" * 4
NO_KEY = r"W&B is online \({}\) and has no API key\. Log in with `wandb login`, set WANDB_API_KEY, or stay offline " \
         r"with logger\.wandb\.offline=true"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variables of W&B's, and nobody is logged in."""
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)


def settings_of(*overrides: str) -> dict[str, Any] | None:
    """Return what these overrides give, as they are in the configuration."""
    given = OmegaConf.from_dotlist([override.lstrip("+") for override in overrides])
    return resolved(OmegaConf.to_container(given.logger.wandb) if overrides else {}, os.environ)  # type: ignore[arg-type]


def test_the_defaults() -> None:
    node = load_config("train", ["model=lr"])[1].logger.wandb
    assert node.project is None and node.offline is None  # so that W&B's variables are heard
    assert settings_of() == {"project": "ameir", "mode": "offline", "offline": False}


@pytest.mark.parametrize(("variable", "value", "override", "key", "expected", "chosen"), [
    ("WANDB_PROJECT", "p", "logger.wandb.project=q", "project", "p", "q"),
    ("WANDB_NAME", "n", "+logger.wandb.name=m", "name", "n", "m"),
    ("WANDB_DIR", "/a", "+logger.wandb.dir=/b", "save_dir", "/a", "/b"),
    ("WANDB_DIR", "/a", "+logger.wandb.save_dir=/b", "save_dir", "/a", "/b"),
    ("WANDB_ENTITY", "e", "+logger.wandb.entity=f", "entity", "e", "f"),
    ("WANDB_RUN_GROUP", "g", "+logger.wandb.group=h", "group", "g", "h"),
    ("WANDB_TAGS", "a, b", "+logger.wandb.tags=[c]", "tags", ["a", "b"], ["c"]),
    ("WANDB_NOTES", "x", "+logger.wandb.notes=y", "notes", "x", "y"),
    ("WANDB_JOB_TYPE", "j", "+logger.wandb.job_type=k", "job_type", "j", "k"),
    ("WANDB_RUN_ID", "i", "+logger.wandb.id=o", "id", "i", "o"),
    ("WANDB_RUN_ID", "i", "+logger.wandb.version=o", "id", "i", "o")])
def test_a_variable_is_heard_unless_the_run_says_otherwise(
        variable: str, value: str, override: str, key: str, expected: Any, chosen: Any,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    for overrides, wanted in (((), expected), ((override,), chosen)):
        settings = settings_of(*overrides)
        assert settings is not None and settings[key] == wanted
    monkeypatch.setenv(variable, "")
    assert settings_of() == {"project": "ameir", "mode": "offline", "offline": False}


@pytest.mark.parametrize(("mode", "override", "expected"), [
    ("disabled", "", None), ("offline", "", "offline"), ("dryrun", "", "offline"), ("online", "", "online"),
    ("run", "", "online"), ("Disabled", "", None), ("disabled", "logger.wandb.offline=true", "offline"),
    ("offline", "logger.wandb.offline=false", "online"), ("online", "+logger.wandb.mode=disabled", None),
    ("", "", "offline")])
def test_modes(mode: str, override: str, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", mode)
    settings = settings_of(*filter(None, [override]))
    assert (settings["mode"] if settings else None) == expected


def test_disabled_by_the_older_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DISABLED", "true")
    assert settings_of() is None


@pytest.mark.parametrize(("mode", "overrides", "message"), [
    ("onlin", (), r"WANDB_MODE=onlin is no mode of W&B: online, .*Did you mean 'online'"),
    ("", ("+logger.wandb.mode=of",), r"logger\.wandb\.mode=of is no mode of W&B"),
    ("", ("+logger.wandb.mode=online", "logger.wandb.offline=true"), "contradict each other"),
    ("", ("logger.wandb.offline=maybe",), r"offline=maybe must be true, false or null"),
    ("", ("+logger.wandb.log_model=all",), "uploads models, and W&B is offline"),
    ("online", (), NO_KEY.format("WANDB_MODE=online")),
    ("", ("logger.wandb.offline=false",), NO_KEY.format(r"logger\.wandb\.offline=false")),
    ("", ("+logger.wandb.mode=shared",), NO_KEY.format(r"logger\.wandb\.mode=shared"))])
def test_what_cannot_be_is_one_message(mode: str, overrides: tuple[str, ...], message: str,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.raises(AmeirError, match=message):
        settings_of(*overrides)


def test_where_a_key_is_looked_for(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path / "home")}
    assert not has_key(home) and not has_key({**home, "WANDB_API_KEY": ""})
    assert has_key({**home, "WANDB_API_KEY": KEY}) and has_key({**home, "WANDB_IDENTITY_TOKEN_FILE": "/token"})
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text("machine other.example login user password x\n")
    assert not has_key(home) and not has_key({**home, "WANDB_BASE_URL": "https://wandb.example"})
    netrc.write_text(f"machine wandb.example\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    assert not has_key(home) and has_key({**home, "WANDB_BASE_URL": "https://wandb.example"})
    settings = tmp_path / "home" / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text("[default]\nbase_url = https://wandb.example\n")
    assert has_key(home)
    settings.unlink()
    (tmp_path / "elsewhere").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    (tmp_path / "elsewhere").chmod(0o600)
    assert has_key({**home, "NETRC": str(tmp_path / "elsewhere")})


@pytest.mark.parametrize(("main", "more"), [
    (search.main, ("stage=1",)), (search.main, ("--multirun", "seed=1,2", "run=s${seed}")), (train.main, ("model=lr",)),
    (compare.main, ("models=[lr]",)), (tune.main, ("model=lr",))])
def test_online_without_a_key_ends_before_anything_is_done(main: Callable[..., Any], more: tuple[str, ...],
                                                           generated: Tiny, tmp_path: Path,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    tiny = Tiny("movielens", generated.source, tmp_path / "data", tmp_path / "runs")
    with pytest.raises(AmeirError, match=NO_KEY.format("WANDB_MODE=online")):
        main(tiny(*more, "logger=wandb"))
    assert not contents(tmp_path / "data") and not contents(tmp_path / "runs")


@pytest.mark.parametrize(("override", "message"), [
    ("+logger.wandb.projct=x", "Unknown configuration key 'logger.wandb.projct'. Did you mean 'project'"),
    ("+logger.wandb.grup=x", "Did you mean 'group'")])
def test_settings_that_w_and_b_does_not_have(override: str, message: str, tmp_path: Path) -> None:
    composed = load_config("train", ["model=lr", override])[1]
    with pytest.raises(AmeirError, match=message):
        check_loggers(composed, built(composed, "logger"), tmp_path)


def test_disabled_writes_nothing(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    train.main(tiny("model=lr", "budget.finetune_epochs=1", "logger=wandb"))
    assert not (tiny.folder("lr") / "wandb").exists() and (tiny.folder("lr") / "metrics.json").is_file()


def test_a_run_offline(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                       capfd: pytest.CaptureFixture[str]) -> None:
    """The resolved configuration goes to W&B, the folder is that of WANDB_DIR, and W&B warns of nothing."""
    import wandb

    started: list[dict[str, Any]] = []
    init = wandb.init

    def noted(**settings: Any) -> Any:
        started.append(settings)
        return init(**settings)

    monkeypatch.setattr(wandb, "init", noted)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    train.main(tiny("model=lr", "budget.finetune_epochs=1", "logger=wandb"))
    (settings,) = started
    assert settings["mode"] == "offline" and "anonymous" not in settings and settings["name"] == "movielens-lr"
    assert settings["config"]["model"]["name"] == "lr" and settings["config"]["seed"] == 1
    assert settings["config"]["dataset"]["train"]["batch_size"] == 128
    assert list((tmp_path / "elsewhere" / "wandb").glob("offline-run-*")) and not (tiny.folder("lr") / "wandb").exists()
    assert wandb.run is None  # closed
    assert "WANDB_MODE" not in os.environ and "anonymous" not in "".join(capfd.readouterr())


def test_measuring_needs_no_account(finished: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    assert evaluate.main(finished("logger=wandb"))


def test_an_error_of_w_and_b_is_a_message_and_others_are_closed_all_the_same() -> None:
    import wandb

    closed: list[str] = []

    class Broken:
        def finalize(self, status: str) -> None:
            raise wandb.errors.CommError("no route to the server.\nmore")

    class Noted:
        def finalize(self, status: str) -> None:
            closed.append(status)

    with pytest.raises(AmeirError, match=r"W&B failed: no route to the server\. .*logger\.wandb\.offline=true"):
        close_loggers([Broken(), Noted()], None)  # type: ignore[list-item]
    with pytest.raises(AmeirError, match=r"W&B failed: no permission"):
        close_loggers([Noted()], wandb.errors.UsageError("no permission"))  # type: ignore[list-item]
    close_loggers([Noted()], KeyboardInterrupt())  # type: ignore[list-item]
    assert closed == ["success", "failed", "failed"]


def test_a_folder_of_the_run_s_own_choice_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    composed = load_config("train", ["model=lr", "logger=tensorboard", f"+logger.tensorboard.save_dir={tmp_path}"])[1]
    _, logger = make_loggers(composed, built(composed, "logger"), tmp_path / "runs")
    assert logger.save_dir == str(tmp_path)
