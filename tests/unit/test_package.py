"""The model as MLflow's own: described, and loaded where this repository is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas
import polars as pl
import pytest

from jobs.train.candidates import Candidate
from jobs.train.fit import Fitter
from jobs.train.package import needed, package, signature
from shared import pyfunc, sums
from shared.errors import ModelError
from shared.features import features_of, values
from shared.model import Model
from shared.pyfunc import FraudModel
from tests import claims_factory
from tests.claims_factory import ODD

CLAIMS = claims_factory.claims(400)
CONTRACT = claims_factory.contract()
SMALL = {"max_depth": 3, "learning_rate": 0.3, "rounds": 10}
SCRIPT = """
import sys, json
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
claims = pandas.read_pickle(sys.argv[2])
print(json.dumps({"told": model.predict(claims).tolist(), "from": sys.modules["shared.model"].__file__,
                  "jobs": "jobs" in sys.modules, "snapshot": model.metadata.metadata["snapshot"]}))
"""


@pytest.fixture
def model() -> Model:
    features = features_of(CONTRACT)
    y = CLAIMS["is_fraud"].to_numpy().astype(float)
    blend = Candidate("blend", logistic={"C": 0.1, "linear": 1}, trees=SMALL)
    return Fitter(features, values(CLAIMS, features), y, 1, 0).fit(blend)


@pytest.fixture
def packed(model: Model, tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    model.save(folder)
    (folder / "contract.toml").write_text(claims_factory.GARAGE)
    package(folder, model, CONTRACT, "5" * 64)
    sums.write(folder)
    return folder


def test_mlflow_loads_the_model_without_the_repository(model: Model, packed: Path, tmp_path: Path) -> None:
    """In a process that has no more than the model's folder, MLflow's model gives the same probabilities."""
    later = claims_factory.claims(50, seed=1).with_columns(
        pl.when(pl.int_range(pl.len()) > 5).then("bought").alias("bought"),
        pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("new")).otherwise(ODD).alias(ODD),
    )
    columns = [column["name"] for column in signature(model, CONTRACT)]
    frame = later.select(pl.col(columns)).to_pandas()
    frame["event_time"] = frame["event_time"].dt.tz_localize(None)
    frame.to_pickle(tmp_path / "claims.pickle")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(packed), str(tmp_path / "claims.pickle")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["told"] == pytest.approx(model.score(later, 1), abs=1e-12)
    assert Path(told["from"]).is_relative_to(packed)
    assert told["snapshot"] == "5" * 64
    assert not told["jobs"]


def test_a_changed_model_is_not_loaded(packed: Path) -> None:
    """MLflow's loader refuses a file that is not as it was written, and names it."""
    (packed / "trees-1.json").write_text((packed / "trees-1.json").read_text() + " ")
    with pytest.raises(ModelError, match=r"trees-1\.json is not as it was written"):
        pyfunc._load_pyfunc(str(packed))


def test_cells_as_database_drivers_give_them(model: Model) -> None:
    """A date, a moment with or without a zone, and pandas' own of the same day give the same probability."""
    claims = claims_factory.claims(5, seed=1)
    given = claims.select(column["name"] for column in signature(model, CONTRACT)).to_pandas()
    days = [date(2024, 3, number + 1) for number in range(4)]
    moments = [datetime(day.year, day.month, day.day) for day in days]
    packaged = FraudModel(model, CONTRACT)

    def told(cells: Sequence[date]) -> list[float]:
        both = pandas.Series([*cells, None], dtype=object)
        return list(packaged.predict(given.assign(event_time=both, bought=both)))

    wanted = told(list(map(pandas.Timestamp, days)))
    for cells in (days, moments, [moment.replace(tzinfo=UTC) for moment in moments]):
        assert told(cells) == wanted


def test_the_description_is_complete_and_the_same_again(model: Model, packed: Path) -> None:
    """It has a signature, the contract, the features and where the reference profile is, and no moment of its own."""
    described = json.loads((packed / "MLmodel").read_text())
    inputs = {column["name"]: column["type"] for column in json.loads(described["signature"]["inputs"])}
    assert inputs == {
        "amount": "double",
        ODD: "string",
        "size": "string",
        "bought": "datetime",
        "event_time": "datetime",
        "age": "long",
        "workshop": "string",
    }
    assert described["metadata"]["features"] == [feature.name for feature in model.features]
    assert described["metadata"]["contract_hash"] == CONTRACT.hash
    before = {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()}
    package(packed, model, CONTRACT, "5" * 64)
    assert {path: path.read_bytes() for path in packed.rglob("*") if path.is_file()} == before
    assert np.all([path.suffix in {".json", ".toml", ".txt", ".py", ""} for path in before])


def test_no_adapter_goes_with_a_model() -> None:
    """The code that a model carries reaches neither database nor MLflow."""
    modules = needed("shared.pyfunc")
    assert {"shared.features", "shared.parts", "shared.contract"} <= modules
    assert not modules & {"shared.database", "shared.settings", "shared.registry", "shared.job"}
