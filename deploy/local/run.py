"""Run all of Claimsight on this machine: ``make run``, or in containers ``make run-docker``.

A Postgres of its own, MLflow on SQLite, a drop folder, and the five stages as separate processes or containers, each
started by the event that starts it in production. The demo book's weekly files are dropped one by one and the clock
moves with them; a file of your own is dropped whole, and the clock stands at now.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from deploy.local import drops
from deploy.local.drops import Plan
from deploy.local.machine import Machine
from deploy.local.processes import processes
from deploy.local.report.write import write_report
from deploy.local.summary import collect, next_commands, rejected, show, told_of
from shared import choreography, events
from shared.arguments import Parser
from shared.contract import Contract, load
from shared.database import Database
from shared.errors import ClaimsightError, ConfigError, DataError, ExitCode, TransientError
from shared.settings import variable
from shared.stops import Stop, standing_stop

HOME = Path(".claimsight")
DEMO = Path("contracts/demo.toml")


@dataclass(frozen=True)
class Bench:
    """The places of a local run, and the settings its stages get."""

    contract_file: Path
    machine: Machine
    drop: Path
    log: Path
    pseudonym_key: str

    @property
    def bus(self) -> Path:
        """Where the stages put events."""
        return self.machine.state / "events.jsonl"

    def settings(self, stage: choreography.Stage, as_of: datetime) -> dict[str, str]:
        """Settings of a stage at a moment, as environment variables; a secret goes to who needs it."""
        settings = {
            "contract": str(self.contract_file),
            "drop": str(self.drop.resolve()),
            "events": str(self.bus),
            "artifacts": str(self.machine.state / "artifacts"),
            "mlflow_tracking_uri": tracking_uri(self.machine.state),
            "as_of": as_of.isoformat(),
        }
        if stage == "etl":
            settings["pseudonym_key"] = self.pseudonym_key
        return {variable(field): value for field, value in settings.items()}

    def stop(self, as_of: datetime) -> Stop | None:
        """The stop of scoring that stands at a moment, if any."""
        with Database(self.machine.database_url, load(self.contract_file).name) as database:
            return standing_stop(database, as_of)


class StageFailedError(Exception):
    """A stage ended with another code than 0; its own closing line says why."""

    def __init__(self, stage: str, code: int, message: str) -> None:
        super().__init__(f"{stage}: {message}")
        self.code = code


def main() -> int:
    """Run from the command line; see ``--help``."""
    arguments = _parse()
    # Like an exception, so that what runs is stopped and removed on the way out.
    signal.signal(signal.SIGTERM, _stop)
    # Apart from each other: the two do not share a database, nor who owns its files.
    home = HOME / "docker" if arguments.docker else HOME
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _alone(home):
            return _run(arguments, home)
    except (ClaimsightError, StageFailedError) as error:
        problems = error.problems if isinstance(error, ClaimsightError) else (str(error),)
        for problem in problems:
            print(f"claimsight: {problem}", file=sys.stderr)
        return int(error.exit_code) if isinstance(error, ClaimsightError) else error.code
    except KeyboardInterrupt:
        print("claimsight: stopped; the same command goes on where it left off", file=sys.stderr)
        return 130
    except OSError as error:
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                print(
                    f"claimsight: {error.filename or HOME}: no room is left; make some and start again", file=sys.stderr
                )
                return int(ExitCode.TRANSIENT)
            case errno.EACCES | errno.EPERM | errno.EROFS:
                print(f"claimsight: {error.filename}: no permission; run it where this user may write", file=sys.stderr)
                return int(ExitCode.CONFIG)
        raise


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("claimsight: stopped; the same command goes on where it left off", file=sys.stderr)
    raise SystemExit(int(ExitCode.STOPPED))


def tracking_uri(home: Path) -> str:
    """MLflow's store of a local run."""
    return f"sqlite:///{(home / 'mlflow.db').resolve()}"


def _parse() -> argparse.Namespace:
    parser = Parser(prog="make run", description=__doc__.splitlines()[0])
    parser.add_argument("--docker", action="store_true", help="run the stages and Postgres in containers")
    parser.add_argument("--contract", type=Path, default=DEMO, help="contract of the claims (default: the demo book's)")
    parser.add_argument(
        "--data", type=Path, help="CSV file, or folder with claims/ and outcomes/ (default: the demo book)"
    )
    parser.add_argument("--as-of", type=_moment, help="the clock, for a replay (default: now)")
    parser.add_argument(
        "--claims", type=int, default=drops.CLAIMS, help="claims of the demo book (default: %(default)s)"
    )
    parser.add_argument("--weeks", type=int, default=drops.WEEKS, help="weeks of the demo book (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=drops.SEED, help="seed of the demo book (default: %(default)s)")
    parser.add_argument(
        "--drift", default="", help="what changes in the demo book, such as covariate@60 (default: none)"
    )
    parser.add_argument("--clear", metavar="REASON", help="let score work again that was stopped for broken input")
    parser.add_argument("--actor", metavar="NAME", help="who clears it")
    given = parser.parse_args()
    if (given.clear is None) != (given.actor is None):
        parser.error("CLEAR goes with ACTOR: why, and who says so")
    return given


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("a moment is written as 2024-03-31 or 2024-03-31T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one run at a time work in this folder; the lock goes with the process, however that ends."""
    with (home / "run.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransientError(f"another run works in {home.resolve()}; wait for it to end") from None
        yield


def _machine(arguments: argparse.Namespace, home: Path) -> AbstractContextManager[Machine]:
    if arguments.docker:
        from deploy.local.containers import containers

        return containers(home, arguments.contract)
    return processes(home)


def _run(arguments: argparse.Namespace, home: Path) -> int:
    console, started = Console(), datetime.now(UTC)
    contract = load(arguments.contract)
    is_demo = arguments.data is None and contract.name == "demo"
    drop = home / "drop"
    drop.mkdir(exist_ok=True)
    if is_demo and arguments.as_of:
        raise ConfigError("AS_OF goes with DATA: the clock of the demo book moves with its weeks")
    if is_demo:
        plan = drops.plan_book(home, arguments.claims, arguments.weeks, arguments.seed, arguments.drift)
    else:
        plan = drops.plan_files(arguments.data, contract.name, drop, arguments.as_of or datetime.now(UTC))
    logs = home / "logs"
    logs.mkdir(exist_ok=True)
    with _machine(arguments, home) as machine:
        log = logs / f"{contract.name}.jsonl"
        bench = Bench(arguments.contract, machine, drop, log, _pseudonym_key(home))
        _requeue(bench, contract, home / "contracts", plan.steps[0].as_of)
        _replay(bench, plan, console)
        if arguments.clear is not None:
            _start(bench, "drift", plan.as_of, "--clear", arguments.clear, "--actor", arguments.actor)
            for stage in _stages(bench, ("ScoringResumed",)):
                _start(bench, stage, plan.as_of)
        with Database(machine.database_url, contract.name) as database:
            idle = not database.rows("SELECT 1 FROM job_runs WHERE started_at >= %s AND rows_in > 0", [started])
            if not is_demo and not database.rows("SELECT 1 FROM claims LIMIT 1"):
                raise _without_claims(database, arguments, plan.as_of)
            truth = home / "book" / "truth.csv" if is_demo else None
            summary = collect(database, contract, plan.as_of, truth)
            (home / "summaries").mkdir(exist_ok=True)
            for place in (home / "summaries" / f"{contract.name}.json", home / "summary.json"):
                place.write_text(json.dumps(summary, indent=2) + "\n")
            report = write_report(home / "report", database, contract, summary, plan.as_of)
    show(console, summary, idle=idle)
    next_commands(console, report, home / "summary.json", in_docker=arguments.docker, is_demo=is_demo)
    # A run ends as its stages do: whoever started it must not believe every claim scored.
    return int(ExitCode.MODEL if summary["stopped"] else ExitCode.OK)


def _pseudonym_key(home: Path) -> str:
    """The secret of this folder's pseudonyms, made once."""
    path = home / "pseudonym.key"
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    return path.read_text()


def _requeue(bench: Bench, contract: Contract, tried: Path, as_of: datetime) -> None:
    """Let in what the contract kept out before it was mended; its hash says whether it was since the last run."""
    last = tried / f"{contract.name}.sha256"
    if last.exists() and last.read_text() != contract.hash:
        _start(bench, "etl", as_of, "--requeue")
    tried.mkdir(exist_ok=True)
    last.write_text(contract.hash)


def _without_claims(database: Database, arguments: argparse.Namespace, as_of: datetime) -> DataError:
    refused = [file for file in rejected(database, as_of) if file["kind"] == "claims"]
    if not refused:
        return DataError(f"{arguments.data or 'the drop'}: no claim in it; give a file with rows")
    return DataError(*(told_of(file, arguments.contract) for file in refused))


def _replay(bench: Bench, plan: Plan, console: Console) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=len(plan.steps))
        since = plan.since
        for step in plan.steps:
            due = choreography.schedules_due(since, step.as_of)
            step.drop()
            fired = ("Object Created", *due) if step.files else due
            for stage in _stages(bench, fired):
                progress.update(task, description=f"{step.as_of:%Y-%m-%d}  {stage}")
                _start(bench, stage, step.as_of)
            plan.done(step)
            since = step.as_of
            progress.advance(task)


def _stages(bench: Bench, fired: tuple[str, ...]) -> Iterator[choreography.Stage]:
    """Stages to start, one by one: those the events ask for, and those that the started stages' own events ask for.

    Two events that wait for one stage start it once, as the launcher has it in production.
    """
    _, offset = events.read(bench.bus, 0)
    wanted = {stage for event in fired for stage in choreography.started_by(event)}
    while wanted:
        stage = min(wanted, key=choreography.STAGES.index)
        wanted.discard(stage)
        yield stage
        put, offset = events.read(bench.bus, offset)
        wanted |= {started for event in put for started in choreography.started_by(event)}


def _start(bench: Bench, stage: choreography.Stage, as_of: datetime, *arguments: str) -> None:
    """Run a stage.

    Raises
    ------
    StageFailedError
        It ended with another code than 0; but under a stop claims wait to be scored, and the other stages go on.
    """
    ended = bench.machine.run(stage, bench.settings(stage, as_of), *arguments)
    with bench.log.open("a") as log:
        log.write(ended.output)
    waits = stage == "score" and ended.code == ExitCode.MODEL and bench.stop(as_of)
    if ended.code != 0 and not waits:
        raise StageFailedError(stage, ended.code, _closing(ended.output, ended.code))


def _closing(output: str, code: int) -> str:
    """The message of a stage's closing line; one that was killed has none."""
    for line in reversed(output.splitlines()):
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(line)
            if "exit_code" in record:
                return str(record["message"])
    return f"ended with {code} and no last word; the same command goes on where it left off"


if __name__ == "__main__":
    sys.exit(main())
