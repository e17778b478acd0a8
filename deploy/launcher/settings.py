"""What a release of the launcher was published with: its environment, frozen with its version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """One release.

    Attributes
    ----------
    environment : str
        ``dev``, ``staging`` or ``prod``.
    lines : tuple of str
        Lines of business it serves; each has its contract in the images.
    cluster, topic, retry_queue, bucket : str
        ECS cluster (ARN), SNS topic (ARN), SQS queue (URL) and bucket in which notices leave their marks.
    subnets : tuple of str
    security_group : str
    public_ip : str
        ``ENABLED`` or ``DISABLED``.
    tasks : Mapping
        Stage to task definition, with its revision.
    release : str
        Name of the release.
    spot : bool
        Whether runs try Spot capacity first.
    score_shards : int
        Into how many runs, each on a part of the claims, score is divided.
    logs : str
        What the stages' log groups are named after: ``<logs>/<stage>``.
    """

    environment: str
    lines: tuple[str, ...]
    cluster: str
    subnets: tuple[str, ...]
    security_group: str
    public_ip: str
    tasks: Mapping[str, str]
    release: str
    topic: str
    retry_queue: str
    bucket: str
    spot: bool
    score_shards: int
    logs: str

    @property
    def network(self) -> dict[str, object]:
        """RunTask's ``networkConfiguration``."""
        return {
            "awsvpcConfiguration": {
                "subnets": list(self.subnets),
                "securityGroups": [self.security_group],
                "assignPublicIp": self.public_ip,
            }
        }


def read(environment: Mapping[str, str]) -> Settings:
    """Read them from a function's environment.

    Raises
    ------
    KeyError
        A variable is missing.
    """
    return Settings(
        environment=environment["ENVIRONMENT"],
        lines=_list(environment["LINES"]),
        cluster=environment["CLUSTER"],
        subnets=_list(environment["SUBNETS"]),
        security_group=environment["SECURITY_GROUP"],
        public_ip=environment["ASSIGN_PUBLIC_IP"],
        tasks=json.loads(environment["TASKS"]),
        release=environment["RELEASE"],
        topic=environment["TOPIC_ARN"],
        retry_queue=environment["RETRY_QUEUE_URL"],
        bucket=environment["ARTIFACT_BUCKET"],
        spot=environment["SPOT"] == "1",
        score_shards=int(environment["SCORE_SHARDS"]),
        logs=environment["LOG_GROUP_PREFIX"],
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())
