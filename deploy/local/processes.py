"""The stages as processes of this machine, beside a Postgres of its own: ``make run``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import embedded
from deploy.local.machine import Ended
from shared.choreography import Stage
from shared.settings import variable


@dataclass(frozen=True)
class Processes:
    """See :class:`deploy.local.machine.Machine`."""

    database_url: str
    state: Path
    git_sha: str

    def run(self, stage: Stage, settings: Mapping[str, str], *arguments: str) -> Ended:
        """Start a stage and wait for its end."""
        own = {variable("database_url"): self.database_url, variable("git_sha"): self.git_sha}
        ran = subprocess.run(
            [sys.executable, "-m", f"jobs.{stage}", *arguments],
            env=os.environ | settings | own,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # A process ended by a signal has its negative number; a shell, and ECS, add it to 128.
        return Ended(ran.returncode if ran.returncode >= 0 else 128 - ran.returncode, ran.stdout)


@contextmanager
def processes(home: Path) -> Iterator[Processes]:
    """Have the machine while the block lasts; its data stays below ``home``."""
    with embedded.postgres(home / "postgres") as url:
        yield Processes(url, home, _git_sha())


def _git_sha() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else "unknown"
