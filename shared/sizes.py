"""How large the task of each stage, and of the console, is: the one table, for ECS and for the container run.

Chosen on 2026-11-21: on the demo book of 26,000 claims no process of a stage took more than 340 MiB (``peak_rss_bytes``
in ``job_runs``), and a team's book may be many times that. Fargate sells certain pairs only: 1 vCPU with 2 to 8 GiB,
2 vCPU with 4 to 16.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.choreography import Stage


@dataclass(frozen=True)
class Size:
    """What a task gets.

    Parameters
    ----------
    cpu : int
        In ECS's units, 1024 a vCPU.
    memory : int
        MiB; a task that takes more is killed.
    """

    cpu: int
    memory: int


SIZES: dict[Stage, Size] = {
    "etl": Size(1024, 2048),
    "train": Size(2048, 8192),
    "evaluate": Size(1024, 4096),
    "score": Size(1024, 4096),
    "drift": Size(1024, 4096),
}
CONSOLE = Size(1024, 4096)
"""A model and a snapshot of the worklist are held in memory; people are few, and a claim is scored in milliseconds."""
