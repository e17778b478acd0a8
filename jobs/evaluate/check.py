"""What evaluate needs beside settings, contract and database, for ``--check``."""

from __future__ import annotations

from shared import champion
from shared.contract import load
from shared.database import Database
from shared.settings import Settings


def check(settings: Settings, database: Database) -> None:
    """Look whether its libraries can be imported, MLflow answers, and the models that hold can be read."""
    from jobs.evaluate import judge  # noqa: F401  a run imports it when it finds work
    from shared.registry import Registry

    Registry(settings.mlflow_tracking_uri, settings.artifacts, load(settings.contract).name)
    champion.check(settings, database)
