"""Where a local run's stages and its Postgres run: what `run` asks of ``processes`` and of ``containers``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shared.choreography import Stage


@dataclass(frozen=True)
class Ended:
    """How a stage ended: its exit code, above 128 if a signal did it, and all that it wrote."""

    code: int
    output: str


class Machine(Protocol):
    """A Postgres that is up, and a way to start a stage beside it.

    Attributes
    ----------
    database_url : str
        Where this process reaches the Postgres.
    state : Path
        The folder that the stages write to; it has one path, for them and for this process, since the database keeps
        the paths of models.
    """

    @property
    def database_url(self) -> str: ...  # noqa: D102

    @property
    def state(self) -> Path: ...  # noqa: D102

    def run(self, stage: Stage, settings: Mapping[str, str], *arguments: str) -> Ended:
        """Start a stage and wait for its end.

        Parameters
        ----------
        settings : Mapping
            Environment variables, but for those of the database and of the code's version, which the machine knows.
        arguments : str
            Of its command line.
        """
        ...
