"""Whatever strikes etl at whatever moment, the next run completes: drops, faults and moments drawn by a seed.

``CLAIMSIGHT_FAULT_CASES`` says how many seeds are tried, ``CLAIMSIGHT_FAULT_SEED`` which is the first.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import psycopg
import pytest

from jobs.etl.__main__ import work
from shared.contract import load as load_contract
from shared.database import Database
from shared.errors import DataError
from shared.settings import from_environment
from tests.drop_factory import Expected, draw_book
from tests.factories import environment, finish, job, run_etl, start_etl
from tests.fault_world import World, full
from tests.postgres_relay import Moment, Relay, relay, through
from tests.row_accounting import assert_exact, state
from tests.s3 import S3, Fault, FaultyS3, faulty_s3

CASES = int(os.environ.get("CLAIMSIGHT_FAULT_CASES", "10"))
FIRST = int(os.environ.get("CLAIMSIGHT_FAULT_SEED", "0"))
STOP_SECONDS = 5
DUE = -1
"""Instead of an exit code: 65 if the run refused a file, else 0."""
MOMENTS = ("2024-06-01T00:00:00+00:00", "2024-07-01T00:00:00+00:00")
"""The clock on the two days."""

Kind = Literal["kill", "stop", "restart", "terminate", "cut", "stall", "disk", "tmp", "S3"]


@dataclass(frozen=True)
class Card:
    """What strikes, and when: amid a COPY, a commit, something else that etl asks of the database, or at any time."""

    kind: Kind
    when: Literal["COPY", "commit", "else", "any"]
    fault: Fault | None = None


AMID_COPY = [
    Card(kind, "COPY")
    for kind in ("kill", "kill", "kill", "stop", "stop", "restart", "terminate", "cut", "stall", "disk")
]
OTHERS = [
    Card("kill", "commit"),
    Card("cut", "commit"),
    Card("kill", "else"),
    Card("stop", "else"),
    Card("kill", "any"),
    Card("tmp", "any"),
    *(Card("S3", "any", fault) for fault in ("500", "503", "slow", "truncated")),
]
AGAIN = [card for card in AMID_COPY + OTHERS if card.kind in ("kill", "stop", "restart", "terminate", "cut", "stall")]
CODES = {"kill": -signal.SIGKILL, "stop": 143, "restart": 75, "terminate": 75, "cut": 75, "stall": DUE, "disk": 75}
SAYS = {
    "kill": "SIGKILL",
    "stop": "SIGTERM",
    "restart": "database restarted",
    "terminate": "session terminated",
    "cut": "connection cut",
    "stall": "connection stalled",
    "disk": "database's disk full",
    "tmp": "disk of temporary files full",
}


def dealt(seed: int) -> Card:
    """Deal a seed its card: of any twenty seeds in a row, half strike amid a COPY."""
    deck = AMID_COPY if seed % 2 else OTHERS
    turn = seed // 2
    return Random(turn // len(deck)).sample(deck, len(deck))[turn % len(deck)]


@dataclass
class Tally:
    """What struck, at what, and what killed runs left on the disk."""

    faults: Counter[str] = field(default_factory=Counter)
    phases: Counter[str] = field(default_factory=Counter)
    cases: int = 0
    left: int = 0

    def lines(self, seeds: str) -> list[str]:
        """Two histograms, as text."""
        lines = [f"etl under fire: {self.phases.total()} strikes in {self.cases} cases, seeds {seeds}"]
        for title, counts in (("struck by", self.faults), ("struck amid", self.phases)):
            lines.append(f"  {title}")
            lines += [f"    {count:5}  {name}" for name, count in counts.most_common()]
        return [*lines, f"  folders of temporary files that SIGKILL left: {self.left}"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Start the server that will be harmed."""
    with tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder:
        started = World(Path(folder))
        try:
            yield started
        finally:
            started.close()


@pytest.fixture(scope="module")
def tally(said: list[str], world: World) -> Iterator[Tally]:
    """Count strikes, and print them at the end."""
    counted = Tally()
    yield counted
    said += counted.lines(f"{FIRST} to {FIRST + CASES - 1}")
    if world.disk is None or world.scratch is None:
        said.append("  no disk was full: that needs a user who may mount one")


@dataclass
class Case:
    """A drop, the run of etl that is struck, and the moment's way in."""

    world: World
    relay: Relay
    draw: Random
    environment: dict[str, str]
    scratch: Path
    tally: Tally
    usual: Counter[str] = field(default_factory=Counter)
    """What passes in a run that nothing strikes."""

    def strike(self, card: Card, s3: FaultyS3) -> None:
        """Run etl, let what the card says come over it, and look how it ends."""
        match card.kind:
            case "S3":
                assert card.fault is not None
                lasting = card.fault != "slow" and self.draw.random() < 0.3
                s3.inject(card.fault, 1000 if lasting else 2, self.draw.choice(["object", "object", "listing"]))
                ended = run_etl(self.environment)
                s3.heal()
                self._told(f"S3: {card.fault}", "fetching", ended, 75 if lasting else DUE)
            case "tmp":
                assert self.world.scratch is not None
                # Where there were no room at all, Python would look for another place.
                with full(self.world.scratch, leave=4096):
                    ended = run_etl(self.environment | {"TMPDIR": str(self.world.scratch)})
                self._told(SAYS["tmp"], "fetching", ended, 75)
            case _:
                self._strike_amid(card)

    def _strike_amid(self, card: Card) -> None:
        self.relay.hold_at(None if card.when == "any" else self._moment(card))
        process = start_etl(self.environment)
        if card.when == "any":
            time.sleep(self.draw.uniform(0.05, 1.5))
            _freeze(process)
        while card.when != "any" and process.poll() is None and not self.relay.reached.wait(0.01):
            pass
        if process.poll() is not None:  # it had less to do than the moment would have it
            self._look(finish(process), {DUE})
            return
        phase = self.world.phase("struck")
        code = CODES[card.kind]
        match card.kind:
            case "kill" | "stop":
                process.send_signal(signal.SIGKILL if card.kind == "kill" else signal.SIGTERM)
                self._go_on(process)
                ended = finish(process, STOP_SECONDS)
            case "restart":
                self.world.crash()
                self._go_on(process)
                self.world.restart()
                ended = finish(process)
            case "terminate" | "cut":
                self.world.terminate("struck") if card.kind == "terminate" else self.relay.cut()
                self._go_on(process)
                ended = finish(process)
            case "disk":
                assert self.world.disk is not None
                with full(self.world.disk):
                    self._go_on(process)
                    ended = finish(process)
            case _:
                time.sleep(1)
                self._go_on(process)
                ended = finish(process)
        self._told(SAYS[card.kind], phase, ended, code)

    def _go_on(self, process: subprocess.Popen[str]) -> None:
        self.relay.release()
        process.send_signal(signal.SIGCONT)

    def _moment(self, card: Card) -> Moment:
        copies = [phase for phase in self.usual if phase.startswith("COPY")]
        others = [phase for phase in self.usual if phase not in (*copies, "commit", "start or end")]
        phase = self.draw.choice(sorted({"COPY": copies, "commit": ["commit"]}.get(card.when, others)))
        if card.kind == "disk":  # at the first claims, since later there may be room enough within the tables
            return Moment("COPY claims", 1)
        answer = phase == "commit" and self.draw.random() < 0.5
        return Moment(phase, self.draw.randint(1, self.usual[phase]), self.draw.random(), answer)

    def _told(self, fault: str, phase: str, ended: tuple[int, list[dict[str, Any]]], code: int) -> None:
        self.tally.faults[fault] += 1
        self.tally.phases[phase] += 1
        self._look(ended, {code})

    def complete(self) -> None:
        """Run etl to its end."""
        self.relay.release()
        self._look(run_etl(self.environment), {DUE})

    def _look(self, ended: tuple[int, list[dict[str, Any]]], codes: set[int]) -> None:
        code, log = ended
        print(code, *log, sep="\n  ")  # shown where the case fails
        left = list(self.scratch.iterdir())
        if code == -signal.SIGKILL:
            self.tally.left += len(left)
            for folder in left:
                shutil.rmtree(folder)
        else:
            assert not left
            assert "traceback" not in log[-1], log[-1]
            assert "another etl" not in log[-1]["message"]
        assert code in {self._due() if code == DUE else code for code in codes}, log[-1:]

    def _due(self) -> int:
        """65 if the last run refused a file."""
        with psycopg.connect(self.world.url("struck")) as connection:
            refused = connection.execute(
                "SELECT FROM motor.ingest_files WHERE status = 'rejected' AND kind <> 'photos' "
                "AND run_id = (SELECT max(run_id) FROM claimsight.job_runs)"
            )
            return 65 if refused.rowcount else 0


def _freeze(process: subprocess.Popen[str]) -> None:
    """Halt a process where it is, or find it ended: running on, it could end by itself before it is struck."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WSTOPPED | os.WNOWAIT)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CASES), ids="seed-{}".format)
def test_struck(seed: int, tmp_path: Path, world: World, tally: Tally, s3: S3) -> None:
    """Each row ends up in one place once, and all is as if nothing had happened."""
    print(f"again: CLAIMSIGHT_FAULT_SEED={seed} CLAIMSIGHT_FAULT_CASES=1 pytest {__file__}")
    draw, card = Random(seed), dealt(seed)
    if world.disk is None and card.kind in ("disk", "tmp"):
        card = Card("cut", "COPY" if card.kind == "disk" else "else")
    small = card.kind == "disk"
    book, expected = draw_book(draw, large=0 if small else 0.01), Expected()
    in_s3 = card.kind in ("S3", "tmp") or draw.random() < 0.15
    day_of_strike, more = draw.randrange(2), draw.choice([0, 0, 0, 1, 2])
    world.empty("calm")
    world.empty("struck", small=small)
    (tmp_path / "scratch").mkdir()
    with relay(world.socket) as (passing, port), faulty_s3(s3) as faulty:
        settings = environment(tmp_path, through(world.url("struck"), port), book.contract)
        settings |= {"TMPDIR": str(tmp_path / "scratch")}
        calm = settings | {"CLAIMSIGHT_DATABASE_URL": through(world.url("calm"), port)}
        bucket = s3.bucket() if in_s3 else ""
        if in_s3:
            settings |= {"CLAIMSIGHT_DROP": f"s3://{bucket}"} | faulty.environment
        for day in range(day_of_strike + 1):
            files = book.days[day]
            content = {uri: table.written(uri) for uri, table in files.items()} | (book.photos if day == 0 else {})
            for uri, written in content.items():
                path = tmp_path / "drop" / uri
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(written)
                if in_s3:
                    s3.put(bucket, uri, written)
            clock = {"CLAIMSIGHT_AS_OF": MOMENTS[day]}
            expected.load(files)
            passing.hold_at(None)
            _load_here(calm | clock)
            case = Case(world, passing, draw, settings | clock, tmp_path / "scratch", tally, passing.passed.copy())
            if day == day_of_strike:
                for struck_by in (card, *draw.choices(AGAIN, k=more)):
                    case.strike(struck_by, faulty)
            if day == day_of_strike or in_s3:
                case.complete()
            else:
                world.empty("struck", like="calm", small=small)
    assert_exact(world.url("struck"), expected)
    assert state(world.url("struck")) == state(world.url("calm"))
    tally.cases += 1


def test_a_third_strikes_amid_a_copy(tally: Tally) -> None:
    """At least a third of the strikes came over etl amid a COPY."""
    if tally.cases < 20:
        pytest.skip("too few cases")
    assert 3 * sum(count for phase, count in tally.phases.items() if phase.startswith("COPY")) >= tally.phases.total()


def _load_here(environment: dict[str, str]) -> None:
    """Load what is dropped in this process, which is faster, and where nothing strikes."""
    settings = from_environment(environment)
    contract = load_contract(settings.contract)
    with Database(settings.database_url.get_secret_value(), contract.name) as database:
        database.prepare(contract)
        with suppress(DataError):
            work(job(database, contract, settings))
