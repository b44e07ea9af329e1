"""What W&B is started with: settings of the run before W&B's environment variables, those before our defaults."""

from __future__ import annotations

import configparser
import netrc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from ameir_pl.errors import AmeirError, did_you_mean

MODES = {"online": "online", "run": "online", "shared": "shared", "offline": "offline", "dryrun": "offline",
         "disabled": "disabled"}
"""What WANDB_MODE may say, and what it means."""
VARIABLES = {"WANDB_PROJECT": "project", "WANDB_NAME": "name", "WANDB_DIR": "save_dir", "WANDB_ENTITY": "entity",
             "WANDB_RUN_GROUP": "group", "WANDB_TAGS": "tags", "WANDB_NOTES": "notes", "WANDB_JOB_TYPE": "job_type",
             "WANDB_RUN_ID": "id", "WANDB_RESUME": "resume"}
"""Variables that are heard, and the setting of the same meaning."""
SAME = {"dir": "save_dir", "version": "id"}
"""Settings of two names."""
PROJECT = "ameir"


def resolved(given: Mapping[str, Any], environment: Mapping[str, str], name: str = "wandb") -> dict[str, Any] | None:
    """Return the settings for Lightning's ``WandbLogger``, ``mode`` among them; None where W&B is disabled.

    Args:
        given: settings of the run under ``logger.NAME``, without those that are null.
        environment: the process's; an empty variable is none.
        name: of the logger, for messages.

    Raises:
        AmeirError: an unknown mode, settings that contradict each other, or online without a key.
    """
    settings = {SAME.get(key, key): value for key, value in given.items()}
    for variable, key in VARIABLES.items():
        if environment.get(variable) and key not in settings:
            words = environment[variable]
            settings[key] = [tag.strip() for tag in words.split(",") if tag.strip()] if key == "tags" else words
    settings.setdefault("project", PROJECT)
    mode, source = _mode(settings, environment, name)
    if mode == "disabled":
        return None
    if mode == "offline" and settings.get("log_model"):
        raise AmeirError(f"Configuration: logger.{name}.log_model={settings['log_model']} uploads models, and W&B is "
                         f"offline. Leave it out, or log in and set logger.{name}.offline=false.")
    if mode != "offline" and not has_key(environment):
        raise AmeirError(f"logger={name}: W&B is online ({source}) and has no API key. Log in with `wandb login`, set "
                         f"WANDB_API_KEY, or stay offline with logger.{name}.offline=true.")
    # Lightning's own `offline` would set WANDB_MODE for the whole process.
    return settings | {"mode": mode, "offline": False}


def _mode(settings: dict[str, Any], environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the mode, and what asks for it; takes ``mode`` and ``offline`` out of the settings."""
    asked, offline = settings.pop("mode", None), settings.pop("offline", None)
    if offline is not None and type(offline) is not bool:
        raise AmeirError(f"Configuration: logger.{name}.offline={offline} must be true, false or null.")
    if asked is not None:
        mode = _known(str(asked), f"logger.{name}.mode")
        if offline is not None and offline != (mode == "offline"):
            raise AmeirError(f"Configuration: logger.{name}.mode={asked} and logger.{name}.offline="
                             f"{str(offline).lower()} contradict each other. Leave one out.")
        return mode, f"logger.{name}.mode={asked}"
    if offline is not None:
        return "offline" if offline else "online", f"logger.{name}.offline={str(offline).lower()}"
    if environment.get("WANDB_MODE"):
        return _known(environment["WANDB_MODE"], "WANDB_MODE"), f"WANDB_MODE={environment['WANDB_MODE']}"
    if environment.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes"):
        return "disabled", "WANDB_DISABLED"
    return "offline", "the default"


def _known(mode: str, where: str) -> str:
    if mode.strip().lower() not in MODES:
        raise AmeirError(f"{where}={mode} is no mode of W&B: {', '.join(MODES)}.{did_you_mean(mode, MODES)}")
    return MODES[mode.strip().lower()]


def has_key(environment: Mapping[str, str]) -> bool:
    """Return whether W&B has what it logs in with: in the environment, in netrc, or in its own settings file."""
    if environment.get("WANDB_API_KEY") or environment.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    home = Path(environment.get("HOME") or os.path.expanduser("~"))
    config = Path(environment.get("WANDB_CONFIG_DIR") or home / ".config" / "wandb") / "settings"
    stored = configparser.ConfigParser(interpolation=None)
    try:
        stored.read([config, Path("wandb") / "settings"])
    except (configparser.Error, UnicodeDecodeError):
        return True  # W&B says itself what it makes of it
    if stored.get("default", "api_key", fallback=""):
        return True
    urls = [environment.get("WANDB_BASE_URL"), stored.get("default", "base_url", fallback=""), _default_url()]
    hosts = {urlparse(url).hostname for url in urls if url} | {"api.wandb.ai"}
    places = [environment["NETRC"]] if environment.get("NETRC") else [home / ".netrc", home / "_netrc"]
    for place in places:
        try:
            if hosts & set(netrc.netrc(str(place)).hosts):
                return True
        except OSError:
            continue
        except netrc.NetrcParseError:
            return True  # as above
    return False


def _default_url() -> str:
    """Return the server of this version of W&B."""
    try:
        import wandb

        return str(wandb.Settings.model_fields["base_url"].default)
    except (ImportError, AttributeError, KeyError):  # an older version: api.wandb.ai
        return ""


def explained(error: BaseException) -> AmeirError:
    """Return what an error of W&B's means for the user."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return AmeirError(f"logger=wandb: W&B failed: {lines[0].rstrip('.')}. Mend it and give the same command, or stay "
                      "offline with logger.wandb.offline=true, or without W&B with logger=csv.")
