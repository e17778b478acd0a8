"""What every stage has in common: arguments, clock, logs, lock, ledger, exit code.

A stage gives :func:`run` one function. It gets a :class:`Job`, gathers what it needs through it, decides, applies, and
returns; everything that may go wrong on the way is turned here into one clear line and the right exit code.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from threading import Timer
from types import FrameType
from typing import NoReturn, TextIO

from shared import artifacts, emf, events, logs
from shared.arguments import Asked, Option, asked
from shared.choreography import Stage
from shared.contract import Contract, load
from shared.database import Database
from shared.draws import SLOTS
from shared.errors import ClaimsightError, ExitCode, Stopped, TransientError
from shared.grants import role
from shared.settings import Settings, from_environment
from shared.shard import DIVIDED, WHOLE, Shard

KIBIBYTE = 1024
"""Linux tells memory in these."""
STOP_PATIENCE = 4.0
"""Seconds in which a stage that is told to stop rolls back; then it leaves, whatever does not answer."""
LOCK_ATTEMPTS = 8
LOCK_WAIT = 0.5
"""Seconds between two attempts; together they outlast the second in which the server notices a killed client."""


@dataclass(frozen=True)
class Job:
    """What a stage works with.

    Attributes
    ----------
    as_of : datetime
        The clock. Nothing that was not known by then may be seen.
    run_id : int
        Row of this run in the ledger ``job_runs``; 0 for one that only looks.
    shard : Shard
        Of which claims this run is; another run may be at work on others.
    """

    stage: Stage
    settings: Settings
    contract: Contract
    database: Database
    run_id: int
    shard: Shard = WHOLE

    @property
    def as_of(self) -> datetime:
        """The clock's moment."""
        return self.settings.as_of

    def log(self, message: str, **facts: object) -> None:
        """Write one log record; facts are counts and names, never claimant data."""
        logs.log(logging.INFO, message, stage=self.stage, line=self.contract.name, **facts)

    def figures(self, message: str, **figures: float) -> None:
        """Write one log record of figures, which are metrics where the settings name a namespace for them."""
        facts = {"stage": self.stage, "line": self.contract.name, **figures}
        logs.log(logging.INFO, message, **emf.embedded(self.settings.metrics, facts))

    def put_event(self, event: str, **detail: object) -> None:
        """Tell others that there may be something to do."""
        events.put(self.settings.events, event, self.contract.name, detail)

    @contextmanager
    def beside(self) -> Iterator[Database]:
        """Open a second session, to read while the first one writes; the locks are with the first."""
        with Database(self.settings.database_url.get_secret_value(), self.contract.name) as database:
            database.act_as(role(self.stage))
            yield database

    def record(self, *, rows_in: int = 0, rows_out: int = 0, quarantined: int = 0) -> None:
        """Add to this run's counts in the ledger.

        Call it within the transaction that moves the rows, so that the ledger is true whenever the run is killed.
        """
        self.database.rows(
            "UPDATE job_runs SET rows_in = rows_in + %s, rows_out = rows_out + %s, quarantined = quarantined + %s "
            "WHERE run_id = %s",
            [rows_in, rows_out, quarantined, self.run_id],
        )


def run(
    stage: Stage,
    purpose: str,
    work: Callable[[Job], str],
    check: Callable[[Settings, Database], None],
    options: Iterable[Option] = (),
) -> NoReturn:
    """Run a stage and leave the process with its exit code.

    Parameters
    ----------
    stage : str
        Its name.
    purpose : str
        One sentence for ``--help``.
    work : callable
        Does all that remains to be done and returns one sentence on what that was.
    check : callable
        Raises if something is amiss that this stage needs beside settings, contract, database and a way to put
        events, for ``--check``.
    options : iterable of Option
        What else it can be told to do.
    """
    told = asked(stage, purpose, options)
    # What an option prints that only looks can be piped on; its log is for people.
    conclude(stage, lambda: _attempt(stage, work, check, told), sys.stderr if told.looks else None)


def conclude(name: str, attempt: Callable[[], Outcome], log_to: TextIO | None = None) -> NoReturn:
    """Do what a process was started for, say in one closing line how that ended, and leave with its exit code.

    Parameters
    ----------
    name : str
        The stage's, in the closing line.
    attempt : callable
        Its exceptions end as exit codes.
    log_to : file, optional
        In place of stdout.
    """
    logs.configure(log_to)
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, partial(_stop, name))
    # Threads of XGBoost that wait must sleep: spinning beside any other load, they made a fit eight times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.monotonic()
    try:
        outcome = attempt()
    except BaseException as error:
        outcome = _outcome_of(error)
    artifacts.release()
    sys.stdout.flush()  # what it printed goes before the closing line
    facts = {
        "stage": name,
        **({"line": outcome.line} if outcome.line else {}),
        "status": outcome.status,
        "exit_code": int(outcome.code),
        **outcome.counts,
        "seconds": round(time.monotonic() - started, 3),
        **({"traceback": outcome.traceback} if outcome.traceback else {}),
    }
    level = logging.INFO if outcome.code is ExitCode.OK else logging.ERROR
    logs.log(level, outcome.message, **emf.embedded(outcome.metrics, facts))
    # Straight out: threads of compiled libraries must not hold up a polite stop.
    os._exit(outcome.code)


def locks_of(stage: Stage, line: str, shard: Shard = WHOLE) -> list[str]:
    """Names of the locks that a stage holds while it works on a line of business: one, or one a slot of its shard.

    So runs whose shards overlap meet in a lock, whatever they divide the claims by.

    >>> locks_of("etl", "motor"), locks_of("score", "motor", Shard(1, 8))
    (['claimsight:etl:motor:0/1'], ['claimsight:score:motor:2/16', 'claimsight:score:motor:3/16'])
    """
    held = [Shard(slot, SLOTS) for slot in shard.slots] if stage in DIVIDED else [WHOLE]
    return [f"claimsight:{stage}:{line}:{part}" for part in held]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    counts : Mapping
        Those of its row in the ledger.
    line : str
        Line of business that it worked on; empty where it came to none.
    metrics : str or None
        Namespace under which CloudWatch is to keep its figures.
    """

    code: ExitCode
    message: str
    traceback: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    line: str = ""
    metrics: str | None = None

    @property
    def status(self) -> str:
        """In a word, as the ledger has it."""
        named = {ExitCode.OK: "done", ExitCode.CRASHED: "crashed", ExitCode.STOPPED: "stopped"}
        return named.get(self.code, "failed")


def _attempt(
    stage: Stage, work: Callable[[Job], str], check: Callable[[Settings, Database], None], told: Asked
) -> Outcome:
    began = time.monotonic()
    settings = from_environment()
    contract = load(settings.contract)
    with Database(settings.database_url.get_secret_value(), contract.name) as database:
        database.prepare(contract)
        if not database.act_as(role(stage)):
            logs.log(
                logging.INFO,
                f"this login may not act as {role(stage)}: it works with all of its own rights",
                stage=stage,
                line=contract.name,
            )
        if told.check:
            events.check(settings.events)
            check(settings, database)
            return Outcome(ExitCode.OK, "settings, contract, database and all else it needs are in order")
        if told.work is not None and told.looks:
            return _work(told.work, Job(stage, settings, contract, database, 0))
        if not _take_locks(database, locks_of(stage, contract.name, told.shard)):
            same = "" if told.shard == WHOLE else f" on claims of shard {told.shard}"
            if told.work is not None:  # whoever asked must not believe it done
                raise TransientError(f"another {stage} of {contract.name} is at work; start it again when it ended")
            return Outcome(ExitCode.OK, f"another {stage} of {contract.name} is at work{same}; nothing done")
        run_id = _open_ledger(stage, settings, contract, database, told.shard, began)
        job = Job(stage, settings, contract, database, run_id, told.shard)
        ended = _close_ledger(job, _work(told.work or work, job))
        return replace(ended, line=contract.name, metrics=settings.metrics)


def _work(work: Callable[[Job], str], job: Job) -> Outcome:
    try:
        return Outcome(ExitCode.OK, work(job))
    except BaseException as error:
        return _outcome_of(error)


def _outcome_of(error: BaseException) -> Outcome:
    match error:
        case ClaimsightError():
            return Outcome(error.exit_code, "; ".join(error.problems))
        case Stopped():
            return Outcome(ExitCode.STOPPED, ExitCode.STOPPED.sentence)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Outcome(
                ExitCode.TRANSIENT, f"{error.filename or 'disk'}: no room is left; make some and start it again"
            )
        case OSError(errno=errno.EACCES | errno.EPERM | errno.EROFS):
            return Outcome(
                ExitCode.CONFIG, f"{error.filename}: no permission; give this user access or name another place"
            )
    return Outcome(ExitCode.CRASHED, f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def _take_locks(database: Database, names: Sequence[str]) -> bool:
    """Take all of them or none.

    Each run takes them in the same order and gives them back at the first that is taken: of runs that start at once,
    one goes on.
    """
    for attempt in range(LOCK_ATTEMPTS):
        if attempt:
            time.sleep(LOCK_WAIT)
        if all(map(database.try_lock, names)):
            return True
        database.release_locks()
    return False


def _open_ledger(
    stage: Stage, settings: Settings, contract: Contract, database: Database, shard: Shard, began: float
) -> int:
    """Enter this run into ``job_runs``, and close the rows of runs that died.

    Whoever holds the locks is alone on its claims: a row of one of them that is still open is of a run that died. It
    counts from when the clock was read, not from when the locks were taken: so its clock tells when it ended, too.
    """
    running = database.rows(
        "SELECT run_id, shard FROM job_runs WHERE stage = %s AND line = %s AND status = 'running'",
        [stage, contract.name],
    )
    dead = [row["run_id"] for row in running if shard.overlaps(Shard.parse(row["shard"]))]
    database.rows(
        "UPDATE job_runs SET status = 'killed', exit_code = %s, message = %s, ended_at = clock_timestamp() "
        "WHERE run_id = ANY(%s)",
        [int(ExitCode.KILLED), ExitCode.KILLED.sentence, dead],
    )
    entered = database.rows(
        "INSERT INTO job_runs (stage, line, shard, status, as_of, started_at, git_sha, image_digest) "
        "VALUES (%s, %s, %s, 'running', %s, clock_timestamp() - %s, %s, %s) RETURNING run_id",
        [
            *(stage, contract.name, str(shard), settings.as_of),
            *(timedelta(seconds=time.monotonic() - began), settings.git_sha, settings.image_digest),
        ],
    )
    return int(entered[0]["run_id"])


def _close_ledger(job: Job, outcome: Outcome) -> Outcome:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    try:
        counts = job.database.rows(
            "UPDATE job_runs SET status = %s, exit_code = %s, message = %s, ended_at = clock_timestamp(), "
            "cpu_seconds = %s, peak_rss_bytes = %s WHERE run_id = %s "
            "RETURNING rows_in, rows_out, quarantined, peak_rss_bytes AS peak_memory",
            [
                outcome.status,
                int(outcome.code),
                outcome.message,
                sum(use.ru_utime + use.ru_stime for use in usage),
                max(use.ru_maxrss for use in usage) * KIBIBYTE,
                job.run_id,
            ],
        )
        return replace(outcome, counts=counts[0])
    except ClaimsightError:
        # The database went away: the next run finds the row still open and closes it.
        job.log("the ledger could not be closed", run_id=job.run_id)
        return outcome


def _stop(stage: str, _signal: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not interrupt the unwinding of the first.
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, signal.SIG_IGN)
    leaving = Timer(STOP_PATIENCE, _leave, [stage])
    leaving.daemon = True
    leaving.start()
    raise Stopped


def _leave(stage: str) -> None:
    """End the process; a server that is told nothing more rolls back, and the next run closes the ledger's row."""
    code = ExitCode.STOPPED
    logs.log(logging.ERROR, code.sentence, stage=stage, status="stopped", exit_code=int(code))
    sys.stdout.flush()
    os._exit(code)
