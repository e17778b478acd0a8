"""Trees grown on a Dask cluster."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster, default_client

from jobs.train.candidates import CANDIDATES, Candidate
from jobs.train.engine import DASK, engine_of, engine_option
from jobs.train.fit import Fitter, here
from shared import cluster
from shared.arguments import asked
from shared.errors import ConfigError, TransientError
from shared.features import features_of, values
from shared.metrics import average_precision, roc_auc
from shared.settings import Settings, from_environment
from tests import claims_factory
from tests.end_to_end.test_stages import until
from tests.factories import ROOT, environment

BOOSTED, FOREST = CANDIDATES[3], CANDIDATES[4]
TWO: dict[str, Any] = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": False,
    "protocol": "tcp",
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",
}
"""Workers, as threads of this process."""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Address of a cluster of two workers."""
    with LocalCluster(**TWO) as it:
        yield it.scheduler_address
        default_client().close()


@pytest.mark.parametrize("candidate", [BOOSTED, FOREST], ids=["boosted trees", "random forest"])
def test_two_workers_rank_as_one_machine_does(
    scheduler: str, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trees of partitions on two workers rank later claims as those of one machine do, and are stored alike."""
    monkeypatch.setattr(cluster, "PIECE", 700)
    features = features_of(claims_factory.contract())
    past, later = claims_factory.claims(5000), claims_factory.claims(5000, seed=1)
    known, y = values(past, features), past["is_fraud"].to_numpy().astype(float)
    shown = []
    for engine in (here, partial(cluster.grower, scheduler)):
        model = Fitter(features, known, y, 1, 0, engine).fit(candidate)
        model.parts[0].check(features)
        margin, actual = model.margin(values(later, features), 1), later["is_fraud"].to_numpy().astype(float)
        shown.append((average_precision(actual, margin), roc_auc(actual, margin)))
    assert shown[0][1] > 0.75
    assert np.abs(np.subtract(*shown)).max() < 0.02


def test_a_scheduler_that_does_not_answer_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where nobody listens, train ends with 75 and one line that names the address and the setting."""
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it does not listen
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TransientError, match=f"{address} .* CLAIMSIGHT_DASK_SCHEDULER") as told:
            engine_of(DASK, _settings(tmp_path, CLAIMSIGHT_DASK_SCHEDULER=address))
    assert "\n" not in str(told.value)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_worker_that_left_is_told_in_one_line() -> None:
    """A cluster that loses a worker with its rows after these were laid out is to be tried again."""
    with LocalCluster(**TWO) as it:
        rows, y = np.zeros((100, 1), dtype=np.float32), np.arange(100) % 2.0
        grow = cluster.grower(it.scheduler_address, rows, y, 1, 8)
        it.scale(1)
        until(lambda: len(it.scheduler.workers) == 1)
        with pytest.raises(TransientError, match="lost one"):
            grow({"objective": "binary:logistic"}, 1)
        default_client().close()


@pytest.mark.parametrize("lacking", ["distributed", "xgboost.dask"])
def test_missing_libraries_are_told(lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Dask is not installed, or XGBoost's part for it was trimmed off, train says what to install."""
    monkeypatch.setitem(sys.modules, lacking, None)
    with pytest.raises(ConfigError, match=rf"--engine dask lacks {lacking}: install requirements/dask.txt"):
        engine_of(DASK, _settings(tmp_path, CLAIMSIGHT_DASK_SCHEDULER="tcp://127.0.0.1:9"))


def test_the_settings_say_where_the_cluster_is(tmp_path: Path) -> None:
    """The engine dask without an address, and an address that is none, are mistakes in the settings."""
    with pytest.raises(ConfigError, match="CLAIMSIGHT_DASK_SCHEDULER is not set; --engine dask"):
        engine_of(DASK, _settings(tmp_path))
    with pytest.raises(ConfigError, match="CLAIMSIGHT_DASK_SCHEDULER is not tcp://host:port"):
        _settings(tmp_path, CLAIMSIGHT_DASK_SCHEDULER="scheduler:8786")


def test_the_command_line_names_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--engine dask`` has train's own work done with that engine; another name ends with 2."""
    options = [engine_option(lambda _, name: name)]
    work = asked("train", "", options, ["--engine", "dask"]).work
    assert work is not None
    assert work(None) == "dask"  # type: ignore[arg-type]
    assert engine_of("local", _settings(tmp_path)) is here
    with pytest.raises(SystemExit, match="2"):
        asked("train", "", options, ["--engine", "spark"])
    assert "is neither local nor dask" in capsys.readouterr().err


@pytest.mark.parametrize("installed", [True, False], ids=["with Dask", "without"])
def test_an_image_keeps_what_dask_imports(installed: bool, tmp_path: Path) -> None:
    """Trimming leaves XGBoost's part for Dask, and what Dask asks of pyarrow, only where Dask is installed."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    parts = [packages / "xgboost" / "dask", packages / "pyarrow" / "parquet"]
    for folder in [*parts, *([packages / "distributed"] if installed else [])]:
        folder.mkdir(parents=True)
    subprocess.run([sys.executable, ROOT / "images" / "trim.py", tmp_path], check=True)
    assert [part.exists() for part in parts] == [installed, installed]


def _settings(folder: Path, **more: str) -> Settings:
    return from_environment(environment(folder, "postgresql://nowhere") | more)
