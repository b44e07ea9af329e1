"""Every key of every command with values of every kind: it is taken, or refused in one message, never another error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

from ameir_pl.cli.compare import chosen_options, chosen_runs, chosen_seeds
from ameir_pl.cli.compose import raw_config, typed_config
from ameir_pl.cli.config import CONFIGS, Config
from ameir_pl.cli.launch import check_machine
from ameir_pl.cli.setup import checked_nodes, fill_stages, make_dataset, run_path
from ameir_pl.errors import AmeirError

VALUES = (None, "", "Ümläut ü", -1, 1, 0.5, 10**30, float("nan"), True, [], ["a", "b"], {"a": 1}, "1e-3", [[1]])
"""Nothing, empty, not ASCII, negative, right for some, huge, no number, lists, a group."""
EACH = 2
"""Values of a key: its own two or three of them, so that each value meets a twentieth of the keys."""
MAKES = ("dataset", "trainer", "optimizer", "scheduler", "logger", "callbacks", "paths", "run", "preparation")


def keys(node: dict[Any, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


def right_or_one_message(check: Callable[[], object], what: str) -> bool:
    try:
        check()
    except AmeirError as error:
        assert "\n" not in str(error) and len(str(error)) < 900, what
        return False
    return True


@pytest.mark.filterwarnings("ignore")
def test_every_key_of_every_command() -> None:
    seen, right = set(), 0
    for name in ("train", "search", *CONFIGS):
        whole = raw_config(name, [] if name == "infer" else ["logger=tensorboard"])
        assert right_or_one_message(lambda name=name, whole=whole: typed_config(name, whole.copy()), name)
        for key in keys(OmegaConf.to_container(whole)):  # type: ignore[arg-type]
            for value in () if key in seen else (VALUES[(len(seen) * EACH + i) % len(VALUES)] for i in range(EACH)):
                changed = whole.copy()
                with open_dict(changed):
                    OmegaConf.update(changed, key, value, merge=False)

                def check(name: str = name, changed: Any = changed, key: str = key) -> None:
                    config, composed = typed_config(name, changed)
                    if isinstance(config, Config) and key.split(".")[0] in MAKES:
                        check_machine(composed.trainer)
                        checked_nodes(composed)
                        make_dataset(config)
                        fill_stages(config, composed)
                        run_path(config)

                right += right_or_one_message(check, f"{name}: {key}={value}")
            seen.add(key)
    assert len(seen) > 100 and 20 < right < len(seen) * EACH - 20  # many of both


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_what_compare_is_asked_for(value: Any) -> None:
    right_or_one_message(lambda: chosen_seeds(value), "seeds")
    right_or_one_message(lambda: chosen_options(value, ["dnn"]), "options")
    if isinstance(value, list) and all(isinstance(run, str) for run in value):
        right_or_one_message(lambda: chosen_runs(value), "runs")
