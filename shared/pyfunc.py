"""A model's folder as MLflow loads it: ``mlflow.pyfunc.load_model`` finds this module beside the model's files."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from shared import sums
from shared.contract import Contract, load
from shared.contract_parts import POLARS_DTYPES
from shared.features import Floats
from shared.model import Model
from shared.model import load as load_model


class FraudModel:
    """Gives fraud probabilities of claims in a pandas frame.

    Parameters
    ----------
    model : Model
    contract : Contract
        What the model was learnt under: it tells the columns' dtypes, and which one dates the claims.
    """

    def __init__(self, model: Model, contract: Contract, threads: int = 1) -> None:
        self._model, self._contract, self._threads = model, contract, threads

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Floats:
        """Score claims.

        Parameters
        ----------
        model_input : pandas.DataFrame
            The columns of the model's signature, as they stand in the table of claims; moments without a zone are UTC,
            and so is a date, whichever of Python's and pandas' types it has.

        Returns
        -------
        array of shape (n,)
            Probability of fraud, rows as they came.
        """
        columns = {name: self._column(name, model_input[name]) for name in model_input.columns}
        dated = columns.get(self._contract.roles.event_time or "")
        if dated is not None and "event_time" not in columns:
            columns["event_time"] = dated.cast(pl.Datetime("us", "UTC"))
        return self._model.score(pl.DataFrame(columns), self._threads)

    def _column(self, name: str, cells: Any) -> pl.Series:
        given = cells.astype(object).where(cells.notna(), None).tolist()
        dtype = self._contract.dtype(name) if name in self._contract.stored else None
        if dtype in ("date", "datetime") or name == "event_time":
            moments = pl.Series(name, [_in_utc(cell) for cell in given], pl.Datetime("us", "UTC"))
            return moments.cast(pl.Date) if dtype == "date" else moments
        # What the contract does not know is made of a claim's past, and a number.
        return pl.Series(name, given, POLARS_DTYPES[dtype] if dtype else pl.Float64, strict=False)


def _in_utc(cell: date | None) -> datetime | None:
    """Make a moment of a date, as database drivers give it, or of a moment."""
    match cell:
        case datetime(tzinfo=None):
            return cell.replace(tzinfo=UTC)
        case datetime() | None:
            return cell
    return datetime(cell.year, cell.month, cell.day, tzinfo=UTC)


def _load_pyfunc(folder: str) -> FraudModel:
    """Load what :mod:`jobs.train.package` has put there; MLflow calls it by this name."""
    sums.check(Path(folder), None, folder)
    return FraudModel(load_model(Path(folder)), load(Path(folder) / "contract.toml"))
