"""train as a process: a search that is killed goes on, and the same claims give the same files."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from distributed import LocalCluster

from jobs.train.candidates import CANDIDATES
from tests import claims_factory
from tests.end_to_end.test_stages import Line, finish, furnished, until


@pytest.fixture
def make(postgres: str, tmp_path: Path) -> Iterator[Callable[[str], Line]]:
    """Make lines of business that hold the same claims, each in a database of its own."""
    made = []

    def make(name: str) -> Line:
        made.append(name)
        folder = tmp_path / name
        folder.mkdir()
        return furnished(postgres, name, folder, claims_factory.SHORT, 2000)

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def files(line: Line) -> dict[str, bytes]:
    """The registered model's files."""
    (model,) = line.rows("SELECT artifact_uri FROM models")
    folder = Path(unquote(urlsplit(model["artifact_uri"]).path))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trials(line: Line) -> list[dict[str, object]]:
    query = "SELECT number, family, parameters, average_precision, roc_auc, mean, state FROM trials ORDER BY number"
    return line.rows(query)


def test_a_killed_search_goes_on_and_ends_as_if_it_had_not_been(make: Callable[[str], Line]) -> None:
    """A search killed after some trials tries only the rest, and gives the trials and the files of one that was not."""
    killed, whole = make("killed"), make("whole")
    running = killed.start("train")
    with psycopg.connect(killed.url, autocommit=True) as watching:
        until(lambda: len(watching.execute("SELECT 1 FROM garage.trials").fetchall()) >= 4, 180)
    running.kill()
    running.communicate(timeout=10)
    assert running.returncode == -signal.SIGKILL
    left = len(trials(killed))
    assert not killed.rows("SELECT 1 FROM models")
    killed.run("train")
    whole.run("train")
    count = len(trials(whole))
    assert 4 <= left < count
    assert count > len(CANDIDATES)  # some were drawn
    assert trials(killed) == trials(whole)
    runs = [row["n"] for row in killed.rows("SELECT count(*) AS n FROM trials GROUP BY run_id ORDER BY run_id")]
    assert runs == [left, count - left]
    assert files(killed) == files(whole)
    written = files(whole).keys()
    assert {
        "model.json",
        "profile.json",
        "peers.json",
        "training.json",
        "contract.toml",
        "MLmodel",
        "SHA256SUMS",
    } <= written


def test_a_lost_mlflow_does_not_stop_training(make: Callable[[str], Line]) -> None:
    """Where MLflow's database was lost and ours was kept, the next model's version is a later one."""
    line = make("lost")
    line.run("train")
    Path(line.environment["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")).unlink()
    line.environment["CLAIMSIGHT_GIT_SHA"] = "another"
    assert "model 2" in line.run("train")["message"]
    assert [row["model_version"] for row in line.rows("SELECT model_version FROM models ORDER BY 1")] == [1, 2]
    assert "promoted" in line.run("evaluate")["message"]


def test_trees_grow_on_a_cluster(make: Callable[[str], Line]) -> None:
    """With ``--engine dask``, trees of a cluster make a model, which is marked as not repeatable."""
    line = make("dask")
    Path(line.environment["CLAIMSIGHT_CONTRACT"]).write_text(claims_factory.SHORT.replace("trials = 9", "trials = 3"))
    place = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", **place) as cluster:
        line.environment["CLAIMSIGHT_DASK_SCHEDULER"] = cluster.scheduler_address
        ended, lines = finish(line.start("train", "--engine", "dask"))
        assert ended == 0, lines
    assert json.loads(files(line)["training.json"])["repeatable"] is False
    assert [trial["family"] for trial in trials(line)] == ["logistic", "logistic", "boosted_trees"]
