"""The launcher: from events and schedules to runs, and from stopped tasks to further runs or a notification.

Everything it gets may come twice, and everything it does can be done twice: what it raises is delivered again, and at
last lies in the dead-letter queue.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from . import settings
from .cluster import Cluster, Held
from .judge import SCORE, Again, Tell, follow_up, judge, read, refusal_of
from .notice import write, write_event, write_overdue
from .runs import Run, from_message, runs_for

STATE_CHANGE = "ECS Task State Change"


class Launcher:
    """What the function works with.

    Parameters
    ----------
    release : Settings
    ecs, sqs, sns, s3 : botocore clients
    """

    def __init__(self, release: settings.Settings, ecs: Any, sqs: Any, sns: Any, s3: Any) -> None:
        self._release = release
        self._cluster = Cluster(ecs, release)
        self._sqs, self._sns, self._s3 = sqs, sns, s3

    def answer(self, event: Mapping[str, Any]) -> list[str]:
        """Do what an event, a schedule, a stopped task or a batch of the retry queue asks for.

        Returns
        -------
        list of str
            What was done, for the log.

        Raises
        ------
        ExceptionGroup
            Some runs could not be started; the others were.
        """
        if event.get("detail-type") == STATE_CHANGE:
            return self._settle(event["detail"])
        if "Records" in event:
            return self._start(*(from_message(record["body"]) for record in event["Records"]))
        done = self._start(*runs_for(event, self._release.lines, self._release.score_shards))
        if notice := write_event(event, self._release.environment):
            done.append(f"{event['detail-type']}: {self._tell(event['id'], *notice)}")
        return done

    def _start(self, *runs: Run) -> list[str]:
        done, failed = [], []
        for run in runs:
            try:
                started = self._cluster.start(run)
                done.append(f"{run.group}: {started}")
                if isinstance(started, Held) and started.overdue:
                    done.append(f"{run.group}: {self._tell_overdue(run, started)}")
            except Exception as error:
                failed.append(error)
        if failed:
            raise ExceptionGroup(f"{len(failed)} of {len(runs)} runs could not be started", failed)
        return done

    def _settle(self, detail: Mapping[str, Any]) -> list[str]:
        """See to a task that stopped: once it is known whether it was asked for again meanwhile."""
        if detail["lastStatus"] != "STOPPED" or read(detail) is None:
            return []
        stopped = read(self._cluster.describe(detail["taskArn"]) or detail)
        assert stopped is not None
        match judge(stopped):
            case Again(run, 0):
                return self._start(run)
            case Again(run, delay):
                self._sqs.send_message(
                    QueueUrl=self._release.retry_queue, MessageBody=run.to_message(), DelaySeconds=delay
                )
                return [f"{run.group}: again in {delay} s"]
            case Tell(sentence):
                release = self._release
                notice = write(
                    stopped, sentence, release.environment, release.release, release.logs, self._sns.meta.region_name
                )
                done = [f"{stopped.run.group}: {self._tell(stopped.mark, *notice)}"]
            case _:
                done = []
                if stopped.run.stage == SCORE:  # another refusal is news
                    self._s3.delete_object(**self._mark(refusal_of(stopped.run)))
        return [*done, *(self._start(follow_up(stopped)) if stopped.held else [])]

    def _tell_overdue(self, run: Run, held: Held) -> str:
        task, release = held.task.rpartition("/")[2], self._release
        notice = write_overdue(run, task, release.environment, release.logs, self._sns.meta.region_name)
        return self._tell(f"{task}-overdue", *notice)

    def _tell(self, mark: str, subject: str, text: str) -> str:
        """Notify once under a mark, however often what is told of is reported.

        An object that may be written once is the mark: SNS drops what comes twice on FIFO topics only, and those send
        no mail. It comes first, so that two reports at the same time tell one, and is taken back if SNS fails.
        """
        try:
            self._s3.put_object(**self._mark(mark), IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return "told before"
        try:
            self._sns.publish(TopicArn=self._release.topic, Subject=subject, Message=text)
        except Exception:
            self._s3.delete_object(**self._mark(mark))
            raise
        return "told"

    def _mark(self, name: str) -> dict[str, str]:
        return {"Bucket": self._release.bucket, "Key": f"notices/{name}"}


@cache
def _launcher() -> Launcher:
    patient = Config(retries={"mode": "standard", "total_max_attempts": 5})
    clients = (boto3.client(service, config=patient) for service in ("ecs", "sqs", "sns", "s3"))
    return Launcher(settings.read(os.environ), *clients)


def handle(event: dict[str, Any], _context: object) -> list[str]:
    """Answer one invocation of the function."""
    done = _launcher().answer(event)
    for line in done:
        print(json.dumps({"level": "info", "message": line, "event": event.get("detail-type", "retry")}))
    return done
