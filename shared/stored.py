"""What every kind of model has in common: the values that it looks at, and how its document is read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from shared.errors import ModelError
from shared.features import Feature, sources, values


def known_values(claims: pl.DataFrame, features: Sequence[Feature]) -> pl.DataFrame:
    """Compute what a model looks at; see :func:`shared.features.values`.

    Raises
    ------
    ModelError
        The claims lack a column of it.
    """
    there = set(claims.columns)
    if missing := [source for source in sources(features) if source not in there]:
        raise ModelError(f"the model looks at {', '.join(missing)}, which the contract lacks; train a new one")
    return values(claims, features)


@contextmanager
def read_model(folder: Path, forms: Sequence[int]) -> Iterator[tuple[dict[str, Any], tuple[Feature, ...]]]:
    """Read ``model.json`` and its features; what goes wrong with the document within the block is a ModelError."""
    try:
        document = json.loads((folder / "model.json").read_text())
        if document["format"] not in forms:
            read = " and ".join(map(str, forms))
            raise ModelError(f"model {folder}: format {document['format']}, this code reads {read}; train a new one")
        features = tuple(map(Feature.of_document, document["features"]))
        if not features:
            raise ValueError("it has no features")
        yield document, features
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        said = str(error).partition("\n")[0]  # XGBoost goes on with a stack trace
        raise ModelError(f"model {folder}: cannot be read ({said}); train a new one") from error
