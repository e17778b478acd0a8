"""How fast train gets from claims in Postgres to a fitted model, beside a script as one would write it with pandas.

The claims are generated; what is fraud depends on some of their columns, so that both sides have something to find.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deploy.benchmarks import book
from deploy.benchmarks.figure import Figure
from deploy.local import embedded
from shared.metrics import Estimate, paired_difference

CLAIMS, LATER = 1_000_000, 100_000
TRIALS = 3
THREADS = 2
ROUNDS = 200
ROOT = Path(__file__).parents[2]
PARAMETERS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 6,
    "learning_rate": 0.1,
    "reg_lambda": 1.0,
    "min_child_weight": 1.0,
    "max_bin": 64,
}
"""The same on all sides; the rest as XGBoost has it."""

_HEAD = """
import json, resource, sys, time
from pathlib import Path
began, worked = time.perf_counter(), time.process_time()
url, contract, cut, threads, rounds, parameters, to = sys.argv[1], *map(json.loads, sys.argv[2:])
def measured():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - worked, "megabytes": peak}
"""
_PANDAS = (
    _HEAD
    + """
import numpy, pandas, psycopg, xgboost
from sqlalchemy import create_engine
engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
def read(side, order=""):
    claims = pandas.read_sql(
        "SELECT c.*, o.is_fraud FROM bench.claims c JOIN bench.outcomes o USING (claim_id) "
        f"WHERE c.event_time {side} '{cut}' {order}", engine
    )
    y = claims.pop("is_fraud").astype(float)
    lost = pandas.to_datetime(claims["lost_on"])
    for name in ("reported_on", "insured_from"):
        claims[name] = (lost - pandas.to_datetime(claims[name])).dt.days
    unused = ["claim_id", "note", "lost_on", "revision", "event_time", "known_at", "superseded_at"]
    unused += ["file_id", "file_line"]
    claims["hurt"] = claims["hurt"].astype(float)
    return pandas.get_dummies(claims.drop(columns=unused)), y
claims, y = read("<")
matrix = xgboost.QuantileDMatrix(claims, y, nthread=threads, max_bin=parameters["max_bin"])
model = xgboost.train(parameters | {"nthread": threads}, matrix, rounds)
found = measured()
later, actual = read(">=", "ORDER BY c.claim_id")
probability = model.predict(xgboost.DMatrix(later.reindex(columns=claims.columns, fill_value=False), nthread=threads))
numpy.savez(to, y=actual, p=probability)
print(json.dumps(found))
"""
)
_READ = """
import numpy, polars as pl, xgboost
from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from shared.claims import read_claims
from shared.contract import load
from shared.database import Database
from shared.features import features_of, values
contract = load(Path(contract))
features, trees = features_of(contract), Candidate("boosted_trees", trees=parameters | {"rounds": rounds})
def read(database, side):
    rest = f"JOIN outcomes_as_of(%(as_of)s) o USING (claim_id) WHERE c.event_time {side} %(cut)s"
    parameters = {"as_of": "infinity", "cut": cut}
    claims = read_claims(database, contract, rest, parameters, {"is_fraud": ("o.is_fraud", "boolean")})
    return values(claims, features), claims["is_fraud"].cast(pl.Float64).to_numpy()
"""
_OURS = f"""{_HEAD}{_READ}
with Database(url, "bench") as database:
    known, y = read(database, "<")
    fitting, fitted = time.perf_counter(), time.process_time()
    model = Fitter(features, known, y, threads, 0).fit(trees)
    fit = {{"fit": time.perf_counter() - fitting, "fit_cpu": time.process_time() - fitted}}
    found = measured() | fit
    later, actual = read(database, ">=")
numpy.savez(to, y=actual, p=model.margin(later, threads))
print(json.dumps(found))
"""
_CODES = f"""{_HEAD}{_READ}
from shared.features import Bins
with Database(url, "bench") as database:
    known, y = read(database, "<")
columns = [(feature, known[feature.name]) for feature in features]
codes = [Bins.of(feature, column, parameters["max_bin"]).codes(column) for feature, column in columns]
numpy.savez(to, codes=numpy.column_stack(codes).astype(numpy.uint8), y=y)
print("{{}}")
"""
_BARE = (
    _HEAD
    + """
import numpy, xgboost
with numpy.load(contract) as ready:
    codes, y = ready["codes"], ready["y"]
began, worked = time.perf_counter(), time.process_time()
matrix = xgboost.QuantileDMatrix(codes, y, nthread=threads, max_bin=parameters["max_bin"])
xgboost.train(parameters | {"nthread": threads}, matrix, rounds)
print(json.dumps(measured()))
"""
)


def measure() -> list[Figure]:
    """Fit by all sides, in turns, each in a process of its own.

    Raises
    ------
    subprocess.CalledProcessError
        A side failed.
    RuntimeError
        Two sides did not judge the same claims.
    """
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-bench-") as temporary,
        embedded.postgres(Path(temporary) / "postgres") as url,
    ):
        folder = Path(temporary)
        contract, codes = folder / "bench.toml", folder / "codes.npz"
        told, scripted = folder / "ours.npz", folder / "scripted.npz"
        contract.write_text(book.CONTRACT)
        book.fill(url, contract, CLAIMS + LATER)
        cut = book.day_of(url, CLAIMS)
        _run(_CODES, url, contract, cut, codes)
        ours, pandas, bare, leads = [], [], [], []
        for _ in range(TRIALS):
            ours.append(_run(_OURS, url, contract, cut, told))
            pandas.append(_run(_PANDAS, url, contract, cut, scripted))
            bare.append(_run(_BARE, url, codes, cut))
            leads.append(_lead(told, scripted))
    each = (
        f"medians of {TRIALS} in turns, {CLAIMS:,} generated claims of 33 columns, {ROUNDS} rounds, {THREADS} threads"
    )
    seconds = _median(pandas, "seconds") / _median(ours, "seconds")
    memory = _median(ours, "megabytes") / _median(pandas, "megabytes")
    lead = sorted(leads, key=lambda lead: lead.value)[TRIALS // 2]
    bound = _median(ours, "fit") / _median(bare, "seconds")
    bound_cpu = _median(ours, "fit_cpu") / _median(bare, "cpu")
    precision = f"AP on {LATER:,} later claims less the script's"
    of_interval = "{} end of that difference's 95 % interval, by resampling claims in pairs"
    by_script = "from Postgres to a fitted model, a script's figure by pandas, one-hot and XGBoost"
    return [
        Figure("train_speed", seconds, "x", f"{by_script}, by ours: seconds, {each}", goal=3.0),
        Figure("train_memory", memory, "x", f"peak memory, ours by the script's, {each}", goal=0.5, at_most=True),
        Figure("train_precision", lead.value, "", f"{precision}, {each}"),
        Figure("train_precision_low", lead.low, "", of_interval.format("lower")),
        Figure(
            "train_precision_high",
            lead.high,
            "",
            f"{of_interval.format('upper')}: of 0 or more, it may be chance",
            goal=0.0,
        ),
        Figure(
            "train_overhead", bound, "x", f"encode and fit by bare hist on ready codes, {each}", goal=1.3, at_most=True
        ),
        Figure("train_overhead_cpu", bound_cpu, "x", f"the same by processor time, {each}"),
        Figure("train_seconds", _median(ours, "seconds"), "s", f"ours, {each}"),
        Figure("train_cpu", _median(ours, "cpu"), "s", f"ours, processor time without Postgres', {each}"),
        Figure("script_cpu", _median(pandas, "cpu"), "s", f"the script, processor time without Postgres', {each}"),
        Figure("train_peak", _median(ours, "megabytes"), "MB", f"ours, {each}"),
    ]


def _lead(told: Path, scripted: Path) -> Estimate:
    """By how much the average precision of ours is above the script's, on the same later claims."""
    with np.load(told) as ours, np.load(scripted) as other:
        if not np.array_equal(ours["y"], other["y"]):
            raise RuntimeError("ours and the script did not judge the same claims")
        return paired_difference(ours["y"], ours["p"], other["p"])


def _run(script: str, url: str, contract: Path, cut: str, to: Path | None = None) -> dict[str, float]:
    told = [json.dumps(value) for value in (str(contract), cut, THREADS, ROUNDS, PARAMETERS, to and str(to))]
    # As shared.job has it for a stage.
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    ended = subprocess.run(
        [sys.executable, "-c", script, url, *told], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def _median(runs: Sequence[dict[str, float]], name: str) -> float:
    return statistics.median(run[name] for run in runs)
