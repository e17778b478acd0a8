"""The Postgres of a local run: who starts it, who stops it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from deploy.local import embedded


def _answers(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_it_runs_while_anybody_needs_it() -> None:
    """The console and a run share it: whoever ends first leaves it to the other, and the last one stops it."""
    with tempfile.TemporaryDirectory(prefix="claimsight-test-") as folder, ExitStack() as run, ExitStack() as console:
        place = Path(folder) / "postgres"
        url = run.enter_context(embedded.postgres(place))
        assert console.enter_context(embedded.postgres(place)) == url
        run.close()
        assert _answers(url)
        console.close()
        with pytest.raises(psycopg.OperationalError):
            _answers(url)
