"""MLflow: every trial tracked, every model registered. Which model holds is the database's to say; this mirrors it.

Import it late: MLflow takes seconds to import, and scoring does without.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

# MLflow asks these when it is imported: nothing of a team's claims is anyone else's business.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# And these whenever it asks a server: by default it goes on for minutes before it says that there is none.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

import stamina
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as mlflow_databases
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from sqlalchemy.exc import IntegrityError, ProgrammingError

from shared import artifacts, storage, sums
from shared.errors import ConfigError, TransientError
from shared.settings import S3Prefix

# MLflow sets up its own logging when it is imported; its lines on stderr are no log records of ours.
for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)


mlflow_databases.MAX_RETRY_COUNT = 7
"""Attempts to reach a tracking database, the waits between which add up to 12 s; MLflow's own 10 make 101 s."""


_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class TrackedTrial:
    """A candidate as MLflow keeps it: a nested run."""

    name: str
    parameters: Mapping[str, object]
    metrics: Mapping[str, Sequence[float]]
    state: str = "complete"
    seconds: float = 0.0


@dataclass(frozen=True)
class Registered:
    """A registered model: its version, its run, the folder of its files, and the SHA-256 of their list."""

    version: int
    run_id: str
    artifact_uri: str
    files_sha256: str


class Registry:
    """The tracking store and model registry of one line of business.

    Parameters
    ----------
    place : Path or S3Prefix
        Where files of models go, below a folder of the line's.

    Raises
    ------
    ConfigError
        There is no such kind of store.
    TransientError
        The store cannot be reached.
    """

    def __init__(self, tracking_uri: str, place: Path | S3Prefix, line: str) -> None:
        try:
            # Where two make the tables of an empty database at once, one of them fails, and has to look again.
            for attempt in stamina.retry_context(
                on=(IntegrityError, ProgrammingError), attempts=5, wait_initial=1, wait_max=8, timeout=None
            ):
                with attempt, _alone(tracking_uri):
                    self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        except MlflowException as error:
            raise ConfigError(f"mlflow: {_in_one_line(error)}; check MLFLOW_TRACKING_URI") from error
        except Exception as error:  # MLflow lets through whatever a store's driver raises after the last attempt
            raise TransientError(f"mlflow: {_in_one_line(error)}; check MLFLOW_TRACKING_URI") from error
        self._line = line
        self._place = str(place.below(line)) if isinstance(place, S3Prefix) else (place.resolve() / line).as_uri()

    def register(
        self,
        folder: Path,
        trials: Sequence[TrackedTrial],
        parameters: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        made_of: Mapping[str, str],
        after: int,
        alias: str,
        as_of: datetime,
    ) -> Registered:
        """Track a search and register its model.

        Parameters
        ----------
        folder : Path
            The model's files; with the list of :mod:`shared.sums` they become the run's artifact ``model``.
        trials : sequence of TrackedTrial
            One nested run each.
        made_of : Mapping
            Further tags, of the nested runs too: which data and code.
        after : int
            The last version that the database knows; the new one is a later one, also where the registry has lost
            count.
        alias : str
            That of the new version.
        """
        try:
            experiment = self._experiment()
            run = self._client.create_run(experiment, tags={**tags, **made_of}, run_name=f"search of {self._line}")
            run_id = run.info.run_id
            moment = int(as_of.timestamp() * 1000)
            for trial in trials:
                self._track(experiment, run_id, trial, made_of, moment)
            self._client.log_batch(
                run_id,
                metrics=[Metric(name, value, moment, 0) for name, value in metrics.items()],
                params=[Param(name, str(value)) for name, value in parameters.items()],
            )
            source = f"{run.info.artifact_uri}/model"
            files_sha256 = sums.write(folder)
            if source.startswith("s3://"):
                artifacts.keep(folder, S3Prefix.of(source))
            else:
                self._client.log_artifacts(run_id, str(folder), "model")
            self._client.set_terminated(run_id)
            self._create_name()
            version = self._create_version(source, run_id)
            while version <= after:
                self._client.delete_model_version(self._line, str(version))
                version = self._create_version(source, run_id)
            self._client.set_registered_model_alias(self._line, alias, str(version))
            return Registered(version, run_id, source, files_sha256)
        except MlflowException as error:
            raise TransientError(f"mlflow: {_in_one_line(error)}; check MLFLOW_TRACKING_URI") from error

    def attach(self, run_id: str, texts: Mapping[str, str]) -> None:
        """Add texts to a run's artifacts, each by its path there; one of the same path is written anew."""
        try:
            place = self._client.get_run(run_id).info.artifact_uri
            for path, text in texts.items():
                if place.startswith("s3://"):
                    storage.write(S3Prefix.of(place), path, text.encode())
                else:
                    self._client.log_text(run_id, text, path)
        except MlflowException as error:
            raise TransientError(f"mlflow: {_in_one_line(error)}; check MLFLOW_TRACKING_URI") from error

    def mirror(self, aliases: Mapping[str, int | None]) -> None:
        """Make the registry's aliases say what the database says; None takes an alias away.

        A version that the registry has lost gets none.
        """
        try:
            stored = self._client.get_registered_model(self._line).aliases
            for alias, version in aliases.items():
                if version is None and alias in stored:
                    self._client.delete_registered_model_alias(self._line, alias)
                elif version is not None and str(stored.get(alias)) != str(version) and self._knows(version):
                    self._client.set_registered_model_alias(self._line, alias, str(version))
        except MlflowException as error:
            raise TransientError(f"mlflow: {_in_one_line(error)}; check MLFLOW_TRACKING_URI") from error

    def _experiment(self) -> str:
        if found := self._client.get_experiment_by_name(self._line):
            return str(found.experiment_id)
        return self._client.create_experiment(self._line, artifact_location=self._place)

    def _create_name(self) -> None:
        if not self._client.search_registered_models(f"name = '{self._line}'"):
            self._client.create_registered_model(self._line)

    def _create_version(self, source: str, run_id: str) -> int:
        return int(self._client.create_model_version(self._line, source, run_id).version)

    def _knows(self, version: int) -> bool:
        return bool(self._client.search_model_versions(f"name = '{self._line}' AND version_number = {version}"))

    def _track(
        self, experiment: str, parent: str, trial: TrackedTrial, made_of: Mapping[str, str], moment: int
    ) -> None:
        tags = {**made_of, MLFLOW_PARENT_RUN_ID: parent, "claimsight.line": self._line, "claimsight.state": trial.state}
        run = self._client.create_run(experiment, start_time=moment, tags=tags, run_name=trial.name)
        figures = [Metric("seconds", trial.seconds, moment, 0)] + [
            Metric(name, value, moment, step)
            for name, values in trial.metrics.items()
            for step, value in enumerate(values)
        ]
        params = [Param(name, str(value)) for name, value in trial.parameters.items()]
        self._client.log_batch(run.info.run_id, metrics=figures, params=params)
        self._client.set_terminated(run.info.run_id, end_time=moment + int(trial.seconds * 1000))


@contextmanager
def _alone(tracking_uri: str) -> Iterator[None]:
    """Keep others from making the tables of a SQLite file at the same moment: it would be left with half of them."""
    with ExitStack() as held:
        if tracking_uri.startswith(_SQLITE):
            with suppress(OSError):  # where no file can be, MLflow says so
                lock = held.enter_context(Path(f"{tracking_uri.removeprefix(_SQLITE)}.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
