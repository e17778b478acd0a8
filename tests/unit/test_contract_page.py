"""docs/contract.md says what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import ValidationError as JsonError
from jsonschema import validate
from pydantic import BaseModel

from shared import contract
from shared.contract import Contract, load
from tests.factories import MOTOR, ROOT

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
PARTS = ("file", "features", "gates", "review", "challenger", "training", "drift")


def keys() -> list[tuple[str, object]]:
    """Every key that has a default of its own, as the page writes it, and that default."""
    parts = {name: Contract.model_fields[name].default for name in PARTS}
    prefixed = {name: part for name, part in parts.items() if name != "file"}
    found = [(f"{name}.{key}", value) for name, part in prefixed.items() for key, value in part]
    return found + [(key, value) for key, value in parts["file"]]


@pytest.mark.parametrize(("key", "default"), keys())
def test_defaults_are_told(key: str, default: object) -> None:
    """The page names each key with the default that the code has."""
    row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{key}`" in line)
    told = json.dumps(default) if isinstance(default, str) else str(default).replace("()", "[]")
    assert told in row


@pytest.mark.parametrize(
    "model",
    [
        *(contract.Column, contract.Derived, contract.Label, contract.Outcomes),
        *(contract.Pull, contract.Reference, contract.Roles),
    ],
)
def test_keys_are_told(model: type[BaseModel]) -> None:
    """The page names every key of a column, a role and an outcome."""
    assert [key for key in model.model_fields if f"`{key}`" not in PAGE] == []


def test_the_smallest_contract_loads(tmp_path: Path) -> None:
    """The page's first example is a contract."""
    example = re.search(r"```toml\n(name.*?)```", PAGE, re.DOTALL)
    assert example is not None
    file = tmp_path / "motor.toml"
    file.write_text(example[1])
    assert load(file).name == "motor"


def test_schema_for_editors() -> None:
    """The JSON schema is that of the code, tells what each key means, and takes the repository's contracts."""
    told = json.loads((ROOT / "docs" / "contract.schema.json").read_text())
    assert told == contract.schema(), "make schema re-makes it"
    for part in (told, *told["$defs"].values()):
        for key, value in part["properties"].items():
            assert "description" in value or "$ref" in str(value), key
    for path in sorted((ROOT / "contracts").glob("*.toml")):
        validate(tomllib.loads(path.read_text()), told)
    with pytest.raises(JsonError):
        validate(tomllib.loads(MOTOR) | {"gate": {}}, told)


def test_examples_are_parts_of_a_contract(tmp_path: Path) -> None:
    """Every other example of the page fits into a contract that has the columns it names."""
    every = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert len(every) > 5
    base = 'name = "motor"\ntitle = "Motor"\n[columns]\nAGENT_ID = { dtype = "text" }\nclaim_no = { dtype = "text" }\n'
    base += "loss_kind = { dtype = 'text' }\n"
    base += "Year = { dtype = 'integer' }\nMonth = { dtype = 'category' }\nWeekOfMonth = { dtype = 'integer' }\n"
    for example in every[1:]:
        fed = "[outcomes]\n" if "[pull.decisions]" in example else ""
        roles = 'label = "verdict"\n' if "[label]" in example else 'id = "claim_no"\n'
        column = 'verdict = { dtype = "text" }\n' if "[label]" in example else ""
        file = tmp_path / "motor.toml"
        file.write_text(f"{base}{column}{example}\n{fed}[roles]\n{roles}")
        load(file)
