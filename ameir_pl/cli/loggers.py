"""The loggers of a run: metrics.csv and those of ``logger=``, which are known to open before anything is prepared."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, WandbLogger

from ameir_pl.callbacks.metrics_csv import MetricsCsv
from ameir_pl.cli import wandb_settings
from ameir_pl.cli.secrets import is_secret
from ameir_pl.errors import AmeirError, did_you_mean

Factories = Mapping[str, Callable[..., Logger] | None]


def make_loggers(composed: DictConfig, factories: Factories, path: Path) -> list[Logger]:
    """Return metrics.csv's logger and those of the logger group; none of them has written anything yet.

    Args:
        composed: the configuration; W&B gets it, resolved.
        factories: of the logger group by name, e.g. ``wandb``.
        path: of the run, where loggers write unless they are told another folder.

    Raises:
        AmeirError: a logger's package is missing, or its settings do not fit it or the environment.
    """
    return [MetricsCsv(path / "metrics.csv"), *_of_group(composed, factories, path)]


def check_loggers(composed: DictConfig, factories: Factories, path: Path) -> None:
    """Raise ``AmeirError`` as :func:`make_loggers`; nothing is written and no network is used."""
    _of_group(composed, factories, path)


def close_loggers(loggers: Sequence[Logger], exception: BaseException | None) -> None:
    """Close the loggers of a run that ended well or with ``exception``; each is closed, whatever becomes of another.

    Raises:
        AmeirError: in place of an error of W&B's own, as that it cannot be reached.
    """
    failed: Exception | None = None
    for logger in loggers:
        try:
            logger.finalize("success" if exception is None else "failed")
            if isinstance(logger, WandbLogger):
                import wandb

                wandb.finish(exit_code=0 if exception is None else 1)
        except Exception as error:  # of whatever kind: the others are still open
            failed = failed or error
    for cause in (exception, failed):
        if cause is not None and any(kind.__module__.split(".")[0] == "wandb" for kind in type(cause).__mro__):
            raise wandb_settings.explained(cause) from cause
    if failed is not None and exception is None:
        raise failed


def _of_group(composed: DictConfig, factories: Factories, path: Path) -> list[Logger]:
    loggers: list[Logger] = []
    for name, make in factories.items():
        if not callable(make):  # left out
            continue
        try:
            if getattr(make, "func", None) is WandbLogger:
                loggers += _wandb(name, make, composed, path)
            else:
                given: Mapping[str, Any] = getattr(make, "keywords", {})
                loggers.append(make(**({} if "save_dir" in given else {"save_dir": str(path)})))
        except ImportError as error:
            raise AmeirError(f"logger={name} needs a package that is not installed: {error}. Install it with "
                             f"`pip install 'ameir-pl[{name}]'`, or use logger=csv.") from error
        except TypeError as error:
            raise AmeirError(f"Configuration: 'logger.{name}' cannot be built: {error}") from error
    return loggers


def _wandb(name: str, make: Any, composed: DictConfig, path: Path) -> list[Logger]:
    """Return W&B's logger; none where W&B is disabled."""
    import wandb

    given = {key: value for key, value in make.keywords.items() if value is not None}
    known = [*inspect.signature(WandbLogger).parameters, *inspect.signature(wandb.init).parameters]
    for key in given:
        if key not in known:
            raise AmeirError(f"Configuration: Unknown configuration key 'logger.{name}.{key}'."
                             f"{did_you_mean(key, known)}")
    settings = wandb_settings.resolved(given, os.environ, name)
    if settings is None:
        return []
    settings.setdefault("name", f"{path.parent.name}-{path.name}")
    settings.setdefault("save_dir", str(path))
    settings["config"] = {**_without_secrets(composed), **settings.get("config", {})}
    os.environ.setdefault("WANDB_SILENT", "true")
    logger = WandbLogger(**settings)
    # Lightning hands a setting on that W&B has no more, and warns of.
    if logger._wandb_init.get("anonymous") is None:
        logger._wandb_init.pop("anonymous", None)
    return [logger]


def _without_secrets(composed: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain values. A secret among them was refused when it was read; what looks
    like one is left out all the same."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(k): plain(v) for k, v in value.items() if not is_secret(str(k))}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    return dict(plain(OmegaConf.to_container(composed, resolve=True)))
