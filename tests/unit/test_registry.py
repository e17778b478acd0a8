"""MLflow: what it keeps of a search, and what happens when it is lost or away."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.store.db import utils as databases

from shared.champion import folder_of
from shared.errors import TransientError
from shared.registry import Registered, Registry, TrackedTrial

AS_OF = datetime(2024, 6, 1, tzinfo=UTC)


def registry(folder: Path, database: str = "mlflow.db") -> Registry:
    return Registry(f"sqlite:///{folder}/{database}", folder / "artifacts", "garage")


def register(folder: Path, after: int = 0, database: str = "mlflow.db") -> Registered:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.json").write_text("{}")
    trials = [TrackedTrial("logistic (C=1)", {"logistic.C": 1.0}, {"average_precision": (0.5, 0.25)}, "pruned", 2.5)]
    made_of = {"claimsight.snapshot": "abc", "claimsight.git_sha": "def"}
    return registry(folder, database).register(
        folder / "model", trials, {"family": "logistic"}, {"claims": 9.0}, {}, made_of, after, "challenger", AS_OF
    )


def aliases(client: MlflowClient) -> dict[str, int]:
    return {alias: int(version) for alias, version in client.get_registered_model("garage").aliases.items()}


def test_a_trial_is_a_nested_run_with_all_that_made_it(tmp_path: Path) -> None:
    """A trial's run has parameters, a figure a fold, duration, data and code; its parent is the search's."""
    found = register(tmp_path)
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs(["1"], f"tags.mlflow.parentRunId = '{found.run_id}'")
    assert run.data.params == {"logistic.C": "1.0"}
    figures = client.get_metric_history(run.info.run_id, "average_precision")
    assert [figure.value for figure in figures] == [0.5, 0.25]
    assert run.data.metrics["seconds"] == 2.5
    assert run.info.end_time - run.info.start_time == 2500
    wanted = {"claimsight.snapshot": "abc", "claimsight.git_sha": "def", "claimsight.state": "pruned"}
    assert wanted.items() <= run.data.tags.items()
    assert {path.name for path in folder_of(found.artifact_uri, found.files_sha256).iterdir()} == {
        "model.json",
        "SHA256SUMS",
    }


def test_a_registry_that_lost_count_goes_on_after_the_last_version(tmp_path: Path) -> None:
    """Where MLflow's database was lost, the next version is still later than all that our database knows."""
    assert register(tmp_path).version == 1
    assert register(tmp_path, 4, "new.db").version == 5
    client = MlflowClient(f"sqlite:///{tmp_path}/new.db")
    assert [int(version.version) for version in client.search_model_versions("name = 'garage'")] == [5]
    assert aliases(client) == {"challenger": 5}
    assert register(tmp_path, 5, "new.db").version == 6


def test_a_version_that_the_registry_lost_gets_no_alias(tmp_path: Path) -> None:
    """Aliases of versions that are there follow the database; one of a lost version is left out."""
    register(tmp_path, after=4)
    registry(tmp_path).mirror({"champion": 5, "previous_champion": 3, "challenger": None})
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    assert aliases(client) == {"champion": 5}


def test_an_unreachable_server_is_told_within_twenty_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits before giving up, on a database or a server, add up to less than 20 seconds."""
    waited: list[float] = []
    monkeypatch.setattr(databases.time, "sleep", waited.append)
    with pytest.raises(TransientError, match="check MLFLOW_TRACKING_URI"):
        Registry("postgresql+psycopg://127.0.0.1:9/mlflow", tmp_path, "garage")
    assert 5 < sum(waited) < 20
    monkeypatch.undo()
    began = time.monotonic()
    (tmp_path / "model").mkdir()
    with pytest.raises(TransientError, match="check MLFLOW_TRACKING_URI"):
        Registry("http://127.0.0.1:9", tmp_path, "garage").register(
            tmp_path / "model", [], {}, {}, {}, {}, 0, "challenger", AS_OF
        )
    assert time.monotonic() - began < 20
