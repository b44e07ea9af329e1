"""Ray: where work goes that other processes and machines do. It is imported when it is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ameir_pl.errors import AmeirError, Stopped
from ameir_pl.stopping import requested, take_back

RETRIES = 3
"""How often work is done again whose process or machine died."""
ADDRESS = "RAY_ADDRESS"
"""The environment variable that names a cluster, as Ray's own commands take it."""


@contextmanager
def cluster(wanted: str, otherwise: str) -> Iterator[Any]:
    """Give the module ``ray``, connected for the block.

    To the cluster that ``RAY_ADDRESS`` names, else to one of this machine's cores, which ends with the block. Where
    the process is connected already, that stays.

    Args:
        wanted: the setting that asks for Ray, for messages.
        otherwise: the one that does without.

    Raises:
        AmeirError: Ray is not installed, or the cluster cannot be reached.
        Stopped: a signal came while Ray was waited for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # of what had no memory, Ray's own default is no end
    try:
        import ray
    except ImportError as error:
        raise AmeirError(f"{wanted} needs a package that is not installed: pip install 'ameir-pl[ray]', or use "
                         f"{otherwise}.") from error
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get(ADDRESS)
    local: dict[str, Any] = {} if address else {"include_dashboard": False}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"The Ray cluster {ADDRESS}={address} cannot be reached" if address else "Ray cannot be started here"
        raise AmeirError(f"{where}: {' '.join(str(error).split())[:300]}. Use another {ADDRESS}, or {otherwise}."
                         ) from error
    finally:
        take_back()  # Ray has a handler of SIGTERM that ends at once
    try:
        yield ray
    except KeyboardInterrupt:  # what Ray makes of any signal's exception while it waits
        if (signal := requested()) is not None:
            raise Stopped(signal) from None
        raise
    finally:
        ray.shutdown()
