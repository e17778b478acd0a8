"""How fast drift's counts and measures are, beside the two libraries that teams know, on the same claims and tests.

Each side is a process of its own that reads two Parquet files, the reference and a window of later claims, and compares
them column by column. Imports are not counted: the libraries take half a minute for theirs.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from deploy.benchmarks.figure import Figure, MissingPartError

FEW, MANY = 100_000, 1_000_000
TRIALS = 3
ROOT = Path(__file__).parents[2]
PEERS = Path(".venv-bench/bin/python")
COUNTS, AMOUNTS, KINDS, LEVELS = 9, 9, 15, 12
SHIFT = 0.1
CLOSE = 0.005
"""What our Kolmogorov-Smirnov distances, from counts between edges, may be off by."""
_HEAD = """
import json, resource, sys, time
files, kinds = sys.argv[1:3], "kind_"
def told(values):
    print(json.dumps({
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - worked,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "values": values,
    }))
"""
_OURS = (
    _HEAD
    + """
import numpy as np, polars as pl, pyarrow.parquet as pq
from shared.distances import chi_square, jensen_shannon, kolmogorov_smirnov, population_stability_index, wasserstein
from shared.levels import FIRST_BIN
from shared.summaries import Grid, grouped
SAMPLE, BATCH = 100_000, 100_000
began, worked = time.perf_counter(), time.process_time()
def batches(file):
    return (pl.from_arrow(batch) for batch in pq.ParquetFile(file).iter_batches(BATCH))
def grid(column):
    if column.dtype != pl.String:
        return Grid.of_sample(column)
    counts = column.drop_nulls().value_counts(sort=True)
    return Grid(levels=tuple(counts[column.name]))
grids = {column.name: grid(column) for column in next(batches(files[0]))[:SAMPLE]}
def summaries(file):
    found = {}
    for batch in batches(file):
        for column in batch:
            summary = grids[column.name].count(column, [batch.height])
            found[column.name] = found[column.name] + summary if column.name in found else summary
    return found
reference, window = map(summaries, files)
values = {}
for name, grid in grids.items():
    before, after = reference[name], window[name]
    counts = before.counts[0], after.counts[0]
    groups = grid.groups(counts[0])
    in_groups = [grouped(side, groups) for side in counts]
    values[name, "psi"] = population_stability_index(*in_groups)
    values[name, "jensen_shannon"] = jensen_shannon(*in_groups)
    known = [side[FIRST_BIN:] for side in counts]
    if name.startswith(kinds):
        values[name, "chi_square"] = chi_square(*known)
        continue
    edges = np.asarray(grid.edges)
    ends = min(before.least[0], after.least[0], edges[0]), max(before.most[0], after.most[0], edges[-1])
    values[name, "kolmogorov_smirnov"] = kolmogorov_smirnov(*known)
    values[name, "wasserstein"] = wasserstein(*known, np.r_[ends[0], edges, ends[1]])
told({" ".join(key): float(value) for key, value in values.items()})
"""
)
_EVIDENTLY = (
    _HEAD
    + """
import pandas
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
began, worked = time.perf_counter(), time.process_time()
reference, window = map(pandas.read_parquet, files)
categories = [name for name in reference if name.startswith(kinds)]
numbers = [name for name in reference if not name.startswith(kinds)]
columns = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
tests = [(name, test) for name in numbers for test in ("ks", "wasserstein", "jensenshannon", "psi")]
tests += [(name, test) for name in categories for test in ("chisquare", "jensenshannon", "psi")]
report = Report([ValueDrift(column=name, method=test) for name, test in tests])
found = report.run(*(Dataset.from_pandas(frame, data_definition=columns) for frame in (window, reference)))
told({" ".join(test): float(metric["value"]) for test, metric in zip(tests, found.dict()["metrics"], strict=True)})
"""
)
_NANNYML = (
    _HEAD
    + """
import nannyml, pandas
began, worked = time.perf_counter(), time.process_time()
reference, window = map(pandas.read_parquet, files)
calculator = nannyml.UnivariateDriftCalculator(
    column_names=list(reference),
    treat_as_categorical=[name for name in reference if name.startswith(kinds)],
    continuous_methods=["kolmogorov_smirnov", "wasserstein", "jensen_shannon"],
    categorical_methods=["chi2", "jensen_shannon"],
    chunk_number=1,
)
found = calculator.fit(reference).calculate(window).filter(period="analysis").to_df()
told({f"{name} {test}": float(found[name, test, "value"].iloc[0])
      for name, test, what in found if what == "value" and name in reference})
"""
)


def measure() -> list[Figure]:
    """Compare two samples of claims by all sides, in turns.

    Raises
    ------
    MissingPartError
        The libraries' environment is not there.
    RuntimeError
        The sides do not say the same.
    """
    if not (ROOT / PEERS).exists():
        raise MissingPartError(f"{PEERS} is not there; make bench-drift installs it")
    few, evidently = _sides(FEW, _EVIDENTLY)
    many, nannyml = _sides(MANY, _NANNYML)
    _check(many[0]["values"], nannyml[0]["values"])
    told = (
        f"medians of {TRIALS} in turns, {COUNTS + AMOUNTS + KINDS} columns, a file of the reference and one to compare"
    )
    tests = "Kolmogorov-Smirnov, Wasserstein and Jensen-Shannon of numbers, chi-square and Jensen-Shannon of categories"
    small, large = (f"{told}, {claims:,} generated claims each" for claims in (FEW, MANY))
    return [
        Figure(
            "drift_by_evidently",
            _median(evidently, "seconds") / _median(few, "seconds"),
            "x",
            f"evidently's seconds by ours: {tests}, PSI of all, {small}",
            goal=25.0,
        ),
        Figure(
            "drift_by_nannyml",
            _median(nannyml, "seconds") / _median(many, "seconds"),
            "x",
            f"nannyml's seconds by ours: {tests}; ours PSI of all as well, {large}",
            goal=3.0,
        ),
        Figure("drift_memory", _median(many, "megabytes"), "MB", f"our peak, {large}", goal=800, at_most=True),
        Figure(
            "drift_growth", _median(many, "megabytes") / _median(few, "megabytes"), "x", "our peak by that at a tenth"
        ),
        Figure("drift_seconds", _median(many, "seconds"), "s", f"ours, {large}"),
        Figure("nannyml_memory", _median(nannyml, "megabytes"), "MB", f"nannyml's peak, {large}"),
    ]


def _sides(claims: int, peer: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory(prefix="claimsight-bench-") as temporary:
        files = [Path(temporary) / f"{name}.parquet" for name in ("reference", "window")]
        for seed, (file, shift) in enumerate(zip(files, (0.0, SHIFT), strict=True)):
            _claims(claims, shift, seed).write_parquet(file)
        turns = [(_run(sys.executable, _OURS, files), _run(str(ROOT / PEERS), peer, files)) for _ in range(TRIALS)]
    ours, theirs = zip(*turns, strict=True)
    return list(ours), list(theirs)


def _claims(count: int, shift: float, seed: int) -> pl.DataFrame:
    """Counts, amounts with some unknown, and kinds; a part of them shifted."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for place in range(COUNTS):
        columns[f"count_{place}"] = random.poisson(5 + place * (1 + shift), count).astype(float)
    for place in range(AMOUNTS):
        columns[f"amount_{place}"] = np.round(np.exp(random.normal(7 + shift * (place % 2), 1, count)), 2)
    names = pl.Series([f"level {level}" for level in range(LEVELS)])
    for place in range(KINDS):
        weights = np.ones(LEVELS)
        weights[place % LEVELS] += 5 * shift
        columns[f"kind_{place}"] = names.gather(random.choice(LEVELS, count, p=weights / weights.sum()))
    known = pl.Series(random.random(count) >= 0.02)
    return pl.DataFrame(columns).with_columns(amount_3=pl.when(known).then("amount_3"))


def _run(python: str, script: str, files: Sequence[Path]) -> dict[str, Any]:
    told = {"PYTHONPATH": str(ROOT), "NML_DISABLE_USAGE_LOGGING": "1", "DO_NOT_TRACK": "1"}
    command = [python, "-c", script, *map(str, files)]
    ended = subprocess.run(command, cwd=ROOT, env=os.environ | told, check=True, capture_output=True, text=True)
    return json.loads(ended.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def _check(ours: Mapping[str, float], theirs: Mapping[str, float]) -> None:
    """Hold our distances against nannyml's where both have the same."""
    for name, value in theirs.items():
        column, test = name.split()
        if test == "kolmogorov_smirnov" and abs(ours[name] - value) > CLOSE:
            raise RuntimeError(f"{name}: {ours[name]:.4f} is not nannyml's {value:.4f}")
        if test == "chi2" and abs(ours[f"{column} chi_square"] / value - 1) > CLOSE:
            raise RuntimeError(f"{name}: {ours[f'{column} chi_square']:.1f} is not nannyml's {value:.1f}")


def _median(runs: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(statistics.median(run[name] for run in runs))
