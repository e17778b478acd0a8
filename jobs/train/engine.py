"""Where trees are grown: here, or on a Dask cluster."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from shared.arguments import Option
from shared.errors import ConfigError
from shared.settings import Settings, variable

if TYPE_CHECKING:
    from jobs.train.fit import Engine

LOCAL, DASK = "local", "dask"


def engine_option(work: Callable[..., str]) -> Option:
    """Make the option that has the stage's own work done with the engine that it names."""
    purpose = f"train, and grow trees here ({LOCAL}) or on the cluster of {variable('dask_scheduler')} ({DASK})"
    return Option("--engine", "ENGINE", purpose, work, parse=_known)


def engine_of(name: str, settings: Settings) -> Engine:
    """Give the engine of that name, once it can be worked with.

    Raises
    ------
    ConfigError
        The settings do not say where the cluster is, or its libraries are not installed.
    TransientError
        The cluster does not answer.
    """
    if name == LOCAL:
        from jobs.train.fit import here

        return here
    if settings.dask_scheduler is None:
        raise ConfigError(f"{variable('dask_scheduler')} is not set; --engine {DASK} works there; see .env.example")
    from shared import cluster

    cluster.reach(settings.dask_scheduler)
    return partial(cluster.grower, settings.dask_scheduler)


def _known(name: str) -> str:
    if name not in {LOCAL, DASK}:
        raise ArgumentTypeError(f"is neither {LOCAL} nor {DASK}")
    return name
