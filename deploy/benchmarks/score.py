"""How fast score gets from claims in Postgres to their probabilities there, beside scripts with pandas and MLflow.

The claims are generated; the champion is a model of trees as train fits them, in the folder that train makes of it.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psycopg

from deploy.benchmarks import book
from deploy.benchmarks.figure import Figure
from deploy.local import embedded
from shared.parts import UNKNOWN

CLAIMS, MANY_CLAIMS, LEARNT = 1_000_000, 5_000_000, 100_000
TRIALS = 3
BATCH, BATCHES, TURNS = 50_000, 10, 3
THREADS = 2
ROOT = Path(__file__).parents[2]
PACKAGES = "packages"
MEGABYTE = 1 << 20
CAPACITY = 25
"""Claims that investigators review a week; the demo book's contract says as many."""
REAPED = 0.5
"""Seconds after which Postgres has seen that a session is gone."""
NOBODY = 2.0
"""A threshold that no probability reaches."""
DIFFERENCE = 1e-6
"""By how much two probabilities of a claim may differ: XGBoost reckons in single precision."""
TREES = {"max_depth": 6, "learning_rate": 0.1, "reg_lambda": 1.0, "min_child_weight": 1.0, "rounds": 200}
_CONTRACT = f"{book.CONTRACT}\n[review]\ncapacity_per_week = {CAPACITY}\n"

_FIT = """
import json, sys
from pathlib import Path
import mlflow, polars as pl, xgboost
from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from jobs.train.package import package
from shared.claims import read_claims
from shared.contract import load
from shared.database import Database
from shared.features import features_of, values
url, contract, cut, threads, trees, folder = sys.argv[1], *map(json.loads, sys.argv[2:])
folder, contract_file, contract = Path(folder), Path(contract), load(Path(contract))
features = features_of(contract)
rest = "JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) WHERE c.event_time < %(cut)s"
with Database(url, "bench") as database:
    outcome = {"is_fraud": ("o.is_fraud", "boolean")}
    claims = read_claims(database, contract, rest, {"as_of": "infinity", "cut": cut}, outcome)
known, y = values(claims, features), claims["is_fraud"].cast(pl.Float64).to_numpy()
model = Fitter(features, known, y, threads, 0).fit(Candidate("boosted_trees", trees=trees))
model.save(folder / "champion")
(folder / "champion" / "contract.toml").write_text(contract_file.read_text())
(folder / "champion" / "profile.json").write_text("[]")
package(folder / "champion", model, contract, "0" * 64)
booster = xgboost.Booster(model_file=bytearray(model.parts[0].booster_json.encode()))
booster.feature_names = [feature.name for feature in features]
mlflow.xgboost.save_model(booster, folder / "native")
print("{}")
"""
_PREDICT = """
import json, statistics, sys, time
from pathlib import Path
import numpy
from shared.claims import claim_batches
from shared.contract import load
from shared.database import Database
from shared.model import load as load_model
from shared.parts import laid_out
url, contract, cut, threads, trees, folder, batch, batches, turns = sys.argv[1], *map(json.loads, sys.argv[2:])
model = load_model(Path(folder) / "champion")
(trees,) = model.parts
booster = trees._booster
with Database(url, "bench") as database:
    rest = f"WHERE c.file_line <= {batch * batches}"
    parts = list(claim_batches(database, load(Path(contract)), rest, {"as_of": "infinity"}, {}, batch))
def ratio(ours, raw, clock):
    began = clock()
    raw()
    between = clock()
    ours()
    return (clock() - between) / (between - began)
found = {}
for part in parts * turns:
    known = model.known(part)
    ready = numpy.ascontiguousarray(laid_out(known, trees.levels))
    from_features, from_claims = lambda: model.fraud_probability(known, threads), lambda: model.score(part, threads)
    for start, predict in (("features", from_features), ("claims", from_claims)):
        for name, clock in (("seconds", time.perf_counter), ("cpu", time.process_time)):
            booster.set_param({"nthread": threads})  # the model's own calls set it
            of = ratio(predict, lambda: booster.inplace_predict(ready), clock)
            found.setdefault(f"{start} {name}", []).append(of)
print(json.dumps({name: statistics.median(ratios) for name, ratios in found.items()}))
"""
_WRITE = """
import io, json, sys
from pathlib import Path
import mlflow, pandas, psycopg
from sqlalchemy import create_engine
url, contract, cut, threads, trees, folder = sys.argv[1], *map(json.loads, sys.argv[2:])
def score(names, dates, predict):
    connection = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url)).connect()
    read = connection.execution_options(stream_results=True, max_row_buffer=50_000)
    query = f"SELECT claim_id, {', '.join(names)} FROM bench.claims"
    with psycopg.connect(url) as writing:
        for claims in pandas.read_sql(query, read, parse_dates=dates, chunksize=50_000):
            scored = claims[["claim_id"]].assign(
                model_version=1, variant="champion", fraud_probability=predict(claims), flagged=False, audited=False,
                scored_as_of="2025-01-01T00:00:00+00:00", run_id=1,
            )
            text = io.StringIO()
            scored.to_csv(text, index=False, header=False)
            with writing.cursor() as cursor:
                with cursor.copy(f"COPY scripted ({', '.join(scored.columns)}) FROM STDIN (FORMAT csv)") as copy:
                    copy.write(text.getvalue())
            writing.commit()
"""
_PACKAGED = f"""{_WRITE}
model = mlflow.pyfunc.load_model(str(Path(folder) / "champion"))
model._model_impl._threads = threads
names = [column.name for column in model.metadata.get_input_schema()]
score(names, {list(book.DATES)!r}, lambda claims: model.predict(claims[names]))
"""
# The features by hand, and XGBoost's own flavour of MLflow.
_NATIVE = f"""{_WRITE}
import numpy
document = json.loads((Path(folder) / "champion" / "model.json").read_text())
model = mlflow.pyfunc.load_model(str(Path(folder) / "native"))
model.get_raw_model().set_param({{"nthread": threads}})
features = [(feature["name"], feature["sources"], levels)
            for feature, levels in zip(document["features"], document["parts"][0]["levels"])]
def column(claims, name, sources, levels):
    if name.startswith("days from"):
        return (claims[sources[1]] - claims[sources[0]]).dt.days.to_numpy()
    if not levels:
        return claims[sources[0]].astype(float).fillna({UNKNOWN}).to_numpy()
    values = claims[sources[0]].dt.day_name() if name.startswith("weekday of") else claims[sources[0]]
    codes = pandas.Categorical(values, categories=levels).codes
    return numpy.where((codes < 0) & values.notna(), 0, codes + 2)
def predict(claims):
    return model.predict(pandas.DataFrame({{name: column(claims, name, *of) for name, *of in features}}))
score(dict.fromkeys(source for _, sources, _ in features for source in sources), {list(book.DATES)!r}, predict)
"""


@dataclass(frozen=True)
class Ran:
    """What a process took: seconds from its start to its end, and processor time, its own and that of Postgres."""

    seconds: float
    cpu: float
    postgres: float


@dataclass(frozen=True)
class Bench:
    """A database of claims, where its server keeps it, and a folder with the contract and the champion."""

    url: str
    server: Path
    folder: Path
    cut: str

    def script(self, text: str, *more: object) -> list[str]:
        """Write the command that runs a script."""
        told = [str(self.folder / "bench.toml"), self.cut, THREADS, TREES, str(self.folder), *more]
        return [sys.executable, "-c", text, self.url, *map(json.dumps, told)]

    def found(self, text: str, *more: object) -> Any:
        """Run a script; what it prints."""
        return json.loads(self._run(self.script(text, *more)).stdout)

    def score(self, threshold: float, claims_per_week: float) -> Ran:
        """Run the stage on claims that have no score, as the champion's threshold and volume say."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("TRUNCATE bench.predictions")
            connection.execute(
                "INSERT INTO bench.model_history (model_version, alias, actor, reason, threshold, metrics, gates, "
                "as_of, run_id) VALUES (1, 'champion', 'bench', 'bench', %s, %s, '[]', '2024-12-01', 1)",
                [threshold, json.dumps({"claims_per_week": claims_per_week})],
            )
        return self._timed([sys.executable, "-S", "-m", "jobs.score"], str(self.folder / PACKAGES))

    def scripted(self, text: str) -> Ran:
        """Run a script that does the same to a table of its own."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS scripted")
            connection.execute("CREATE TABLE scripted (LIKE bench.predictions INCLUDING ALL)")
        return self._timed(self.script(text))

    def compare(self) -> None:
        """Raise RuntimeError unless stage and script have scored all claims, and alike."""
        query = (
            "SELECT (SELECT count(*) FROM bench.claims), (SELECT count(*) FROM bench.predictions), count(*) "
            "FROM bench.predictions p JOIN scripted s USING (claim_id) "
            f"WHERE abs(p.fraud_probability - s.fraud_probability) <= {DIFFERENCE}"
        )
        with psycopg.connect(self.url) as connection:
            counts = connection.execute(query).fetchone()
        if counts is None or len(set(counts)) != 1:
            raise RuntimeError(f"claims, scores by the stage, and those that a script gave alike: {counts}")

    def told(self, query: str) -> float:
        """Ask for one number."""
        with psycopg.connect(self.url, options="-c search_path=bench,claimsight") as connection:
            found = connection.execute(query).fetchone()
        assert found is not None
        return float(found[0])

    def _timed(self, command: Sequence[str], *modules: str) -> Ran:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        began, own, postgres = time.perf_counter(), _of_children(), self._postgres()
        self._run(command, *modules)
        seconds = time.perf_counter() - began
        time.sleep(REAPED)
        return Ran(seconds, _of_children() - own, self._postgres() - postgres)

    def _postgres(self) -> float:
        """Processor time of the server, with that of its sessions that have ended."""
        (pid, *_) = (self.server / "postmaster.pid").read_text().split()
        of = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, of[11:15])) / os.sysconf("SC_CLK_TCK")

    def _run(self, command: Sequence[str], *modules: str) -> subprocess.CompletedProcess[bytes]:
        variables = {
            "CLAIMSIGHT_CONTRACT": self.folder / "bench.toml",
            "CLAIMSIGHT_DATABASE_URL": self.url,
            "CLAIMSIGHT_DROP": self.folder,
            "CLAIMSIGHT_EVENTS": self.folder / "events.jsonl",
            "CLAIMSIGHT_ARTIFACTS": self.folder,
            "CLAIMSIGHT_AS_OF": "2025-01-01",
            "CLAIMSIGHT_THREADS": THREADS,
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *modules]),
            "OMP_WAIT_POLICY": "PASSIVE",  # as shared.job has it for a stage
        }
        environment = os.environ | {name: str(value) for name, value in variables.items()}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)


def measure() -> list[Figure]:
    """Score by all sides, in turns, each in a process of its own.

    Raises
    ------
    RuntimeError
        Two sides do not give each claim the same probability.
    subprocess.CalledProcessError
        A side failed.
    """
    with tempfile.TemporaryDirectory(prefix="claimsight-bench-") as temporary, ExitStack() as servers:
        folder, benches = Path(temporary), list[Bench]()
        (folder / "bench.toml").write_text(_CONTRACT)
        _link_packages(folder / PACKAGES)
        for claims in (CLAIMS, MANY_CLAIMS):
            server = folder / f"postgres-{claims}"
            url = servers.enter_context(embedded.postgres(server))
            book.fill(url, folder / "bench.toml", claims)
            benches.append(Bench(url, server, folder, book.day_of(url, LEARNT)))
        return _figures(*benches)


def _figures(bench: Bench, larger: Bench) -> list[Figure]:
    bench.found(_FIT)
    _enter(bench)
    _enter(larger)
    weekly = CLAIMS * 7 / book.DAYS
    plain, many, explained, packaged, native = [], [], [], [], []
    for _ in range(TRIALS):
        plain.append(bench.score(NOBODY, 1e12))
        many.append(larger.score(NOBODY, 1e12))
        packaged.append(bench.scripted(_PACKAGED))
        bench.compare()
        native.append(bench.scripted(_NATIVE))
        bench.compare()
        flagged = "SELECT fraud_probability FROM predictions ORDER BY 1 DESC OFFSET {} LIMIT 1"
        explained.append(bench.score(bench.told(flagged.format(int(CAPACITY * CLAIMS / weekly) - 1)), weekly))
    reasons = bench.told("SELECT count(reasons) FROM predictions")
    ratios = bench.found(_PREDICT, BATCH, BATCHES, TURNS)
    peaks = "SELECT max(peak_rss_bytes) FROM job_runs WHERE stage = 'score'"
    peak = max(side.told(peaks) for side in (bench, larger)) / MEGABYTE
    seconds, cpu = _median(plain), "processor time, with that of Postgres"
    of_batches = (
        f"to probabilities by inplace_predict on ready matrices, median of {TURNS} turns of {BATCHES} batches of "
        f"{BATCH:,}"
    )
    each = f"medians of {TRIALS} in turns, {CLAIMS:,} generated claims, {TREES['rounds']} trees, {THREADS} threads"
    return [
        Figure("score_prediction", ratios["features seconds"], "x", f"features {of_batches}", goal=1.1, at_most=True),
        Figure("score_prediction_of_claims", ratios["claims seconds"], "x", f"claims {of_batches}"),
        Figure("score_prediction_cpu", ratios["features cpu"], "x", f"features {of_batches}, by processor time"),
        Figure("score_prediction_of_claims_cpu", ratios["claims cpu"], "x", f"claims {of_batches}, by processor time"),
        Figure(
            "score_speed",
            _median(packaged) / seconds,
            "x",
            f"seconds of a script (pandas, the champion by mlflow.pyfunc, COPY) by the stage's, which has its image's "
            f"packages alone, {each}",
            goal=5.0,
        ),
        Figure(
            "score_speed_native",
            _median(native) / seconds,
            "x",
            f"the same with features by hand and XGBoost's own flavour of mlflow.pyfunc, {each}",
        ),
        Figure(
            "score_reasons",
            _median(explained) / seconds,
            "x",
            f"the stage with reasons for {reasons:,.0f} claims, {CAPACITY} a week and the audit sample, by that with "
            f"none, {each}",
            goal=2.0,
            at_most=True,
        ),
        Figure("score_memory", peak, "MB", "largest peak of the stage, of all runs", goal=1024, at_most=True),
        Figure("score_speed_cpu", _all_cpu(packaged) / _all_cpu(plain), "x", f"as score_speed, by {cpu}"),
        Figure("score_speed_native_cpu", _all_cpu(native) / _all_cpu(plain), "x", f"as score_speed_native, by {cpu}"),
        Figure("score_reasons_cpu", _all_cpu(explained) / _all_cpu(plain), "x", f"as score_reasons, by {cpu}"),
        Figure("score_rate", CLAIMS / seconds, "claims/s", f"the stage from start to exit, {each}"),
        Figure("score_seconds", seconds, "s", f"the stage, {each}"),
        Figure("score_cpu", statistics.median(ran.cpu for ran in plain), "s", f"the stage without Postgres, {each}"),
        Figure(
            "score_postgres", statistics.median(ran.postgres for ran in plain), "s", f"Postgres' processor time, {each}"
        ),
        Figure("script_seconds", _median(packaged), "s", f"the script by the champion's folder, {each}"),
        Figure("native_seconds", _median(native), "s", f"the script by XGBoost's flavour, {each}"),
        Figure("score_many_seconds", _median(many), "s", f"the stage on {MANY_CLAIMS:,} claims, median of {TRIALS}"),
        Figure(
            "score_growth",
            _median(many) / seconds,
            "x",
            f"seconds for {MANY_CLAIMS:,} claims by those for {CLAIMS:,}, medians of {TRIALS} in turns",
            goal=1.04 * MANY_CLAIMS / CLAIMS,
            at_most=True,
        ),
    ]


def _enter(bench: Bench) -> None:
    """Enter the champion among the models."""
    with psycopg.connect(bench.url, autocommit=True, options="-c search_path=bench,claimsight") as connection:
        connection.execute(
            "INSERT INTO job_runs (stage, line, shard, status, as_of, git_sha, image_digest) "
            "VALUES ('train', 'bench', '0/1', 'done', '2024-12-01', 'bench', 'none')"
        )
        connection.execute(
            "INSERT INTO models (model_version, family, snapshot, outcomes_known, train_start, train_end, "
            "artifact_uri, mlflow_run_id, contract_hash, git_sha, image_digest, as_of, run_id) VALUES (1, "
            "'boosted_trees', 'bench', 1, '2020-01-01', %s, %s, 'bench', 'bench', 'bench', 'none', '2024-12-01', 1)",
            [bench.cut, (bench.folder / "champion").as_uri()],
        )


def _link_packages(folder: Path) -> None:
    """Link what the image of score has installed, of this environment, into a folder.

    The stage is run on that alone. Where XGBoost finds scikit-learn, as beside train, it imports it, and so pandas and
    much of SciPy: two seconds that no run of the image takes.
    """
    folder.mkdir()
    for pinned in re.findall("^([a-z0-9._-]+)==", (ROOT / "requirements/score.txt").read_text(), re.MULTILINE):
        with suppress(metadata.PackageNotFoundError):  # some are for other systems alone
            distribution = metadata.distribution(pinned)
            for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
                (folder / name).symlink_to(str(distribution.locate_file(name)))


def _of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _median(ran: Sequence[Ran]) -> float:
    return statistics.median(run.seconds for run in ran)


def _all_cpu(ran: Sequence[Ran]) -> float:
    return statistics.median(run.cpu + run.postgres for run in ran)
