"""Make a model's folder an MLflow model: `mlflow.pyfunc` loads it in any process, without this repository."""

from __future__ import annotations

import ast
import json
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.contract import Contract
from shared.model import Model

ROOT = Path(__file__).parents[2]
LOADER = "shared.pyfunc"
PACKAGES = ("numpy", "pandas", "polars", "pydantic", "xgboost-cpu")
"""What loading it takes beside MLflow."""
_TYPES = {"category": "string", "text": "string", "boolean": "boolean", "date": "datetime", "datetime": "datetime"}


def package(folder: Path, model: Model, contract: Contract, snapshot: str) -> None:
    """Write the description that MLflow reads, and the code that it runs, beside a model's files.

    Parameters
    ----------
    folder : Path
        Holds ``model.json``, ``contract.toml`` and ``profile.json``.
    snapshot : str
        What it learnt from; the same gives the same description.
    """
    for module in sorted(needed(LOADER)):
        path = Path(*module.split(".")).with_suffix(".py")
        (folder / "code" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "code" / path).write_bytes((ROOT / path).read_bytes())
    (folder / "code" / "shared" / "__init__.py").touch()
    lines = [f"{name}=={found}" if (found := _installed(name)) else name for name in PACKAGES]
    (folder / "requirements.txt").write_text("\n".join(lines) + "\n")
    flavor = {"loader_module": LOADER, "code": "code", "env": {}, "python_version": platform.python_version()}
    description = {
        "flavors": {"python_function": flavor},
        "mlflow_version": _installed("mlflow-skinny"),
        "model_uuid": snapshot[:32],
        "signature": {
            "inputs": json.dumps(signature(model, contract)),
            "outputs": json.dumps([{"name": "fraud_probability", "type": "double"}]),
            "params": None,
        },
        "metadata": {
            "family": model.family,
            "features": [feature.name for feature in model.features],
            "snapshot": snapshot,
            "contract": "contract.toml",
            "contract_hash": contract.hash,
            "profile": "profile.json",
        },
    }
    # MLflow reads YAML, of which JSON is a part.
    (folder / "MLmodel").write_text(json.dumps(description, indent=1))


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # pandas: train does without, MLflow's loader does not
        return None


def signature(model: Model, contract: Contract) -> list[dict[str, str]]:
    """Columns that the model needs of a claim, and their types, as MLflow writes them.

    Whole numbers that may be missing are ``double``, since pandas has them so.
    """
    sources = dict.fromkeys(source for feature in model.features for source in feature.sources)
    return [{"name": source, "type": _type(source, contract)} for source in sources]


def _type(source: str, contract: Contract) -> str:
    if source not in contract.stored:
        return "double"
    column = contract.known[source]
    if contract.dtype(source) == "integer" and not getattr(column, "nullable", True):
        return "long"
    return _TYPES.get(contract.dtype(source), "double")


def needed(module: str) -> set[str]:
    """Modules of `shared` that one of them imports, now or when it is at work, itself included."""
    found: set[str] = set()
    waiting = {module}
    while waiting:
        name = waiting.pop()
        found.add(name)
        tree = ast.parse((ROOT / Path(*name.split(".")).with_suffix(".py")).read_text())
        waiting |= {told for told in _imported(tree) if told.startswith("shared.")} - found
    return found


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.ImportFrom(module="shared"):
            yield from (f"shared.{alias.name}" for alias in node.names)
        case ast.ImportFrom(module=str(name)):
            yield name
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)
