"""Trees grown by XGBoost on a Dask cluster, for more claims than one machine holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import ConfigError, TransientError

if TYPE_CHECKING:
    import xgboost
    from distributed import Client

PATIENCE = 10.0
"""Seconds for a scheduler to answer, and then for a first worker."""
PIECE = 100_000
"""Rows of a partition, at most."""


def reach(address: str) -> None:
    """Look whether the cluster can be worked on from here.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://scheduler:8786``.

    Raises
    ------
    ConfigError
        Its libraries are not installed here.
    TransientError
        It does not answer, or has no worker.
    """
    with _told(address):
        _client(address).close()
        _client.cache_clear()


def grower(
    address: str, rows: NDArray[np.float32], y: NDArray[np.float64], threads: int, max_bin: int
) -> Callable[[Mapping[str, Any], int], xgboost.Booster]:
    """Lay claims out on the cluster; what it gives grows trees on them. An engine of :class:`jobs.train.fit.Fitter`.

    Parameters
    ----------
    threads : int
        Not asked: each worker takes its own.

    Raises
    ------
    ConfigError, TransientError
        As of :func:`reach`; what is given raises a TransientError where the cluster is lost on the way.
    """
    with _told(address):
        from xgboost import dask

        client = _client(address)
        matrix = dask.DaskQuantileDMatrix(client, *_partitions(client, rows, y), max_bin=max_bin)

    def grow(parameters: Mapping[str, Any], rounds: int) -> xgboost.Booster:
        with _told(address):
            return dask.train(client, dict(parameters), matrix, rounds)["booster"]  # type: ignore[no-any-return]

    return grow


@cache
def _client(address: str) -> Client:
    import xgboost.dask  # noqa: F401  now, and not amid a fit
    from distributed import Client

    client = Client(address, timeout=PATIENCE)
    client.wait_for_workers(1, timeout=PATIENCE)
    return client


def _partitions(client: Client, *arrays: NDArray[Any]) -> Iterator[Any]:
    """Spread rows over the workers, straight to them: what goes by the scheduler stands in its memory."""
    import dask.array as da

    height = len(arrays[0])
    workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
    pieces = min(height, len(workers) * -(-height // (PIECE * len(workers))))
    for array in arrays:
        parts = np.array_split(array, pieces)
        sent = [
            client.scatter(part, workers=[workers[place % len(workers)]], direct=True, hash=False)
            for place, part in enumerate(parts)
        ]
        yield da.concatenate(
            [da.from_delayed(one, part.shape, part.dtype) for one, part in zip(sent, parts, strict=True)]
        )


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Say in one line what came between us and the cluster."""
    try:
        from distributed import KilledWorker

        # The last one is XGBoost's, of a worker that left since it got its rows.
        lost = (OSError, CancelledError, KilledWorker, RuntimeError)
        try:
            yield
        except lost as error:
            raise TransientError(
                f"the Dask cluster at {address} does not answer, has no worker or lost one ({type(error).__name__}); "
                "see that it runs and that CLAIMSIGHT_DASK_SCHEDULER names it"
            ) from error
    except ImportError as error:
        raise ConfigError(
            f"--engine dask lacks {error.name}: install requirements/dask.txt beside requirements/train.txt, and keep "
            "xgboost/dask"
        ) from error
