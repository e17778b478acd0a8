"""train as a process: a search that is killed goes on, and the same claims give the same files."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import psycopg
import pytest
from distributed import LocalCluster

from jobs.train import snapshot
from jobs.train.candidates import CANDIDATES
from jobs.train.windows import Windows, draw
from shared.contract import load
from shared.database import Database
from shared.draws import DRAWS
from shared.features import Feature
from shared.job import Job
from shared.peers import load as load_peers
from shared.reasons import Explainer
from shared.settings import from_environment
from tests import claims_factory
from tests.end_to_end.test_stages import Line, finish, furnished, until


@pytest.fixture
def make(postgres: str, tmp_path: Path) -> Iterator[Callable[..., Line]]:
    """Make lines of business that hold the same claims, each in a database of its own."""
    made = []

    def make(name: str, text: str = claims_factory.SHORT) -> Line:
        made.append(name)
        folder = tmp_path / name
        folder.mkdir()
        return furnished(postgres, name, folder, text, 2000)

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in made:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def model_folder(line: Line) -> Path:
    """Where the registered model's files are."""
    (model,) = line.rows("SELECT artifact_uri FROM models")
    return Path(unquote(urlsplit(model["artifact_uri"]).path))


def files(line: Line) -> dict[str, bytes]:
    """The registered model's files."""
    folder = model_folder(line)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def trials(line: Line) -> list[dict[str, object]]:
    query = "SELECT number, family, parameters, average_precision, roc_auc, mean, state FROM trials ORDER BY number"
    return line.rows(query)


def test_a_killed_search_goes_on_and_ends_as_if_it_had_not_been(make: Callable[..., Line]) -> None:
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


def test_a_lost_mlflow_does_not_stop_training(make: Callable[..., Line]) -> None:
    """Where MLflow's database was lost and ours was kept, the next model's version is a later one."""
    line = make("lost")
    line.run("train")
    Path(line.environment["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///")).unlink()
    line.environment["CLAIMSIGHT_GIT_SHA"] = "another"
    assert "model 2" in line.run("train")["message"]
    assert [row["model_version"] for row in line.rows("SELECT model_version FROM models ORDER BY 1")] == [1, 2]
    assert "promoted" in line.run("evaluate")["message"]


def test_trees_grow_on_a_cluster(make: Callable[..., Line]) -> None:
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


OF_SIZES = claims_factory.SHORT.replace("[outcomes]", 'amount = "amount"\nkind = "size"\n\n[outcomes]').replace(
    "trials = 9", "trials = 3"
)


def test_what_is_usual_is_counted_on_all_claims(make: Callable[..., Line]) -> None:
    """Where dear claims alone are investigated, a reason says how many of all claims of the window are as dear."""
    line = make("chosen", OF_SIZES)
    line.rows("DELETE FROM outcomes USING claims c WHERE c.claim_id = outcomes.claim_id AND c.amount < 1000")
    # Of some claims, and of a correction of others, nobody knew before the window closed.
    line.rows("UPDATE claims SET known_at = '2024-12-30' WHERE amount < 1000 AND starts_with(claim_id, 'c0000')")
    line.rows("UPDATE claims SET superseded_at = '2024-12-30' WHERE starts_with(claim_id, 'c0011')")
    line.rows(
        "INSERT INTO claims (revision, known_at, claim_id, event_time, amount, size, age, file_id, file_line) "
        "SELECT 2, superseded_at, claim_id, event_time, 9 * amount, size, age, file_id, file_line FROM claims "
        "WHERE superseded_at IS NOT NULL"
    )
    line.run("train")
    (model,) = line.rows("SELECT train_start, train_end, claims FROM models")
    between = f"event_time BETWEEN '{model['train_start']}' AND '{model['train_end']}'"
    window = line.rows(f"SELECT amount, size FROM claims_as_of('{model['train_end']}') WHERE {between} ORDER BY amount")
    assert model["claims"] < 0.6 * len(window)
    peers = load_peers(model_folder(line))
    assert {sum(column.counts) for column in peers.everyone.columns} == {len(window)}

    amount = Feature("amount", ("amount",), "number")
    contract = load(Path(line.environment["CLAIMSIGHT_CONTRACT"]))
    asked = pl.DataFrame(window).filter(size="S")
    told = Explainer([amount], contract, peers).explain(asked, asked.select("amount"), np.ones((asked.height, 1)))
    for place, (reason,) in enumerate(map(json.loads, told)):
        assert reason["peers"] == "claims of S"
        actual = min(place + 1, asked.height - place) / asked.height
        assert reason["unusual"] == pytest.approx(actual, abs=0.05)  # bins hold 20 claims at least


def test_of_many_claims_a_sample_tells_what_is_usual(
    make: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the same whenever drawn, lies in its window, and holds no claim that is kept back to judge."""
    line = make("sampled")
    contract = load(Path(line.environment["CLAIMSIGHT_CONTRACT"]))
    with Database(line.url, contract.name) as database:
        job = Job("train", from_environment(line.environment), contract, database, 0)
        times = snapshot.labelled_times(job)
        moments, y = times["event_time"].to_list(), times["is_fraud"].to_numpy().astype(float)
        drawn = draw(moments, times["draw"].to_numpy(), y, 0.3, None)
        assert isinstance(drawn, Windows)
        for cut, first in ((Windows(moments[200], moments[1400]), 0.0), (drawn, (drawn.judged_share or 0) * DRAWS)):
            within = times.filter(
                pl.col("event_time").is_between(cut.train_start, cut.train_end), pl.col("draw") >= first
            )
            every = snapshot.window(job, cut, ["amount"])
            assert (every.columns, every.height) == (["claim_id", "amount"], within.height)
            with monkeypatch.context() as patched:
                patched.setattr(snapshot, "MOST_PEERS", 400)
                few = snapshot.window(job, cut, ["amount"])
                assert few.equals(snapshot.window(job, cut, ["amount"]))
            assert 300 < few.height < 500
            assert set(few["claim_id"]) < set(every["claim_id"])
