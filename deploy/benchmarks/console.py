"""How long another system waits for the score of one claim: the console as a process, the load from a second one.

The book is the demo's, loaded, trained, judged and scored by the stages; the claims that are sent are its latest ones
under new ids. The load comes at fixed moments whatever the answers do, and a request's time counts from the moment at
which it was due: so one that had to wait for others tells of it (G. Tene, How NOT to Measure Latency, 2015).
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.benchmarks.figure import Figure
from deploy.local import embedded
from deploy.local.simulate import simulate
from shared.grants import role

ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / "contracts" / "demo.toml"
CLAIMS, WEEKS, SEED, START = 26_000, 104, 7, date(2024, 1, 1)
AS_OF = datetime(2025, 12, 29, 12, tzinfo=UTC)
RATE, SECONDS, WARM_SECONDS = 50, 40, 5
STEP, STEP_SECONDS, MOST = 10, 10, 400
"""For the highest rate: by how many requests a second it grows, for how long each is tried, and where it ends."""
GOAL = 50.0
"""Milliseconds of the 99th percentile."""
KEY, PSEUDONYM_KEY = "cs_bench", "for the benchmark"
SENT = 2000
"""Different claims that are sent."""
FIRST_ANSWER = 60.0

_LOAD = """
import asyncio, json, sys, time
host, port, key, bodies, rate, seconds = json.loads(sys.stdin.readline())
HEAD = (f"POST /v1/score HTTP/1.1\\r\\nHost: {host}\\r\\nAuthorization: Bearer {key}\\r\\n"
        "Content-Type: application/json\\r\\nContent-Length: ")
async def send(free, body):
    while free and free[-1][0].at_eof():  # the server closes what has been idle
        free.pop()[1].close()
    reader, writer = free.pop() if free else await asyncio.open_connection(host, port)
    writer.write(f"{HEAD}{len(body)}\\r\\n\\r\\n".encode() + body)
    head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode().lower()
    await reader.readexactly(int(head.split("content-length: ")[1].split("\\r\\n")[0]))
    free.append((reader, writer))
    return int(head.split(" ")[1])
async def main():
    free, found = [], []
    async def one(number, due):
        claim = json.loads(bodies[number % len(bodies)]) | {"claim_id": f"N{time.time_ns()}"}
        status = await send(free, json.dumps(claim).encode())
        found.append((time.perf_counter() - due, status))
    began, tasks = time.perf_counter() + 0.1, []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number, due)))
    await asyncio.gather(*tasks)
    print(json.dumps(found))
asyncio.run(main())
"""


def measure() -> list[Figure]:
    """Ask for scores at a fixed rate, and then at ever higher ones.

    Raises
    ------
    RuntimeError
        A request was not answered by a score, or the console does not start.
    subprocess.CalledProcessError
        A stage failed.
    """
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-bench-") as temporary,
        embedded.postgres(Path(temporary) / "postgres") as url,
    ):
        bench = Bench(url, Path(temporary))
        bench.prepare()
        with bench.serving() as (port, console):
            bench.load(port, RATE, WARM_SECONDS)
            before, stolen = _cpu(console), _stolen()
            times = bench.load(port, RATE, SECONDS)
            busy = (_cpu(console) - before) / (SECONDS * RATE) * 1000
            stolen = (_stolen() - stolen) / SECONDS
            highest = _highest(bench, port)
    each = f"of one score, {SECONDS} s at {RATE} requests a second, on a book of {CLAIMS:,} claims with five entities"
    return [
        Figure("console_p99", _percentile(times, 0.99), "ms", f"99th percentile {each}", goal=GOAL, at_most=True),
        Figure("console_p50", _percentile(times, 0.5), "ms", f"median {each}"),
        Figure("console_worst", times[-1], "ms", f"longest {each}"),
        Figure("console_cpu", busy, "ms", f"processor time of the console {each}"),
        Figure(
            "console_stolen",
            stolen,
            "cores",
            "what the machine's host gave to others meanwhile: it makes latencies longer",
        ),
        Figure(
            "console_rate",
            highest,
            "requests/s",
            f"highest rate at which the 99th percentile of {STEP_SECONDS} s keeps to {GOAL:.0f} ms, in steps of {STEP}",
            goal=float(RATE),
        ),
    ]


class Bench:
    """A book in a database, and a folder for what the stages and the console keep."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._folder = url, folder

    def prepare(self) -> None:
        """Make the book and its champion, a login for the console, and a key."""
        drop = self._folder / "drop" / "demo"
        simulate(drop, CLAIMS, WEEKS, SEED, START)
        for stage in ("etl", "train", "evaluate", "score"):
            subprocess.run(
                [sys.executable, "-m", f"jobs.{stage}"],
                cwd=ROOT,
                env=self._environment(self._url),
                check=True,
                stdout=subprocess.DEVNULL,
            )
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE bench_console LOGIN IN ROLE {role('console')}")
            connection.execute(
                "INSERT INTO claimsight.api_keys (system, sha256, scopes, created_by) "
                "VALUES ('bench', %s, '{score}', 'bench')",
                [hashlib.sha256(KEY.encode()).digest()],
            )
            connection.execute("VACUUM ANALYZE")
        self._bodies = _claims(drop / "claims", self._url)

    @contextmanager
    def serving(self) -> Iterator[tuple[int, int]]:
        """Have the console serve; its port and process."""
        port = _free_port()
        settings = {"CLAIMSIGHT_PORT": str(port), "CLAIMSIGHT_API_RATE": "1000000/second"}
        console = subprocess.Popen(
            [sys.executable, "-m", "console.api"],
            cwd=ROOT,
            env=self._environment(make_conninfo(self._url, user="bench_console")) | settings,
            stdout=subprocess.DEVNULL,
        )
        try:
            _await_answer(f"http://127.0.0.1:{port}/healthz", console)
            yield port, console.pid
        finally:
            console.send_signal(signal.SIGTERM)
            console.wait(30)

    def load(self, port: int, rate: float, seconds: float) -> list[float]:
        """Send claims from a process of its own; milliseconds that each answer took, in order."""
        told = json.dumps(["127.0.0.1", port, KEY, self._bodies, rate, seconds])
        ran = subprocess.run(
            [sys.executable, "-c", _LOAD],
            input=told,
            capture_output=True,
            text=True,
            check=True,
            timeout=10 * seconds + 60,
        )
        found = json.loads(ran.stdout)
        if wrong := [status for _, status in found if status != 200]:
            raise RuntimeError(f"{len(wrong)} of {len(found)} requests were answered by {sorted(set(wrong))}")
        return sorted(1000 * took for took, _ in found)

    def _environment(self, url: str) -> dict[str, str]:
        variables = {
            "CLAIMSIGHT_CONTRACT": CONTRACT,
            "CLAIMSIGHT_DATABASE_URL": url,
            "CLAIMSIGHT_DROP": self._folder / "drop",
            "CLAIMSIGHT_EVENTS": self._folder / "events.jsonl",
            "CLAIMSIGHT_ARTIFACTS": self._folder / "artifacts",
            "CLAIMSIGHT_AS_OF": AS_OF.isoformat(),
            "CLAIMSIGHT_PSEUDONYM_KEY": PSEUDONYM_KEY,
            "MLFLOW_TRACKING_URI": f"sqlite:///{self._folder / 'mlflow.db'}",
        }
        return os.environ | {name: str(value) for name, value in variables.items()}


def _claims(folder: Path, url: str) -> list[str]:
    """Claims of the last weeks that etl has taken in, as bodies of requests."""
    with psycopg.connect(url) as connection:
        sound = {row[0] for row in connection.execute("SELECT claim_id FROM demo.claims")}
    rows = dict[str, list[dict[str, Any]]]()
    for file in sorted(folder.glob("*.csv"), reverse=True):
        with file.open(encoding="utf-8", errors="replace") as lines:
            for row in csv.DictReader(lines):
                rows.setdefault(row["claim_id"], []).append(row)
        if len(rows) >= 2 * SENT:
            break
    # Of a claim that came twice one row may be none that etl took.
    return [json.dumps(found[0]) for claim, found in rows.items() if claim in sound and len(found) == 1][:SENT]


def _highest(bench: Bench, port: int) -> float:
    highest, rate = 0.0, RATE + STEP
    while rate <= MOST and _percentile(bench.load(port, rate, STEP_SECONDS), 0.99) <= GOAL:
        highest, rate = float(rate), rate + STEP
    return highest


def _percentile(times: list[float], share: float) -> float:
    return times[min(len(times) - 1, int(share * len(times)))]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_answer(address: str, console: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + FIRST_ANSWER
    while time.monotonic() < until and console.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the console does not answer")


def _stolen() -> float:
    """Seconds of processor time that this machine was ready to use and its host did not give, of all cores."""
    _, *spent = Path("/proc/stat").read_text().partition("\n")[0].split()
    return int(spent[7]) / os.sysconf("SC_CLK_TCK")


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has taken."""
    of = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(of[11]) + int(of[12])) / os.sysconf("SC_CLK_TCK")
