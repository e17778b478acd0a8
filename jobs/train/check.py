"""What train needs beside settings, contract and database, for ``--check``."""

from __future__ import annotations

from shared import storage
from shared.contract import load
from shared.database import Database
from shared.settings import S3Prefix, Settings


def check(settings: Settings, _: Database) -> None:
    """Look whether its libraries can be imported, MLflow answers, and there is a place for models."""
    from jobs.train import apply, histogram, search  # noqa: F401  a run imports them when it finds work
    from shared.registry import Registry

    Registry(settings.mlflow_tracking_uri, settings.artifacts, load(settings.contract).name)
    if isinstance(settings.artifacts, S3Prefix):
        storage.check(settings.artifacts)
