"""CloudFormation templates as data, their short tags written out: ``!Ref Key`` is ``{"Ref": "Key"}``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "templates"


def load(name: str) -> Any:
    """Read a template.

    Parameters
    ----------
    name : str
        Of the file, without its ending.

    Returns
    -------
    dict
        ``!GetAtt A.B`` is given as ``{"Fn::GetAtt": ["A", "B"]}``, as in JSON.
    """
    return yaml.load((FOLDER / f"{name}.yaml").read_text(), Loader=_Loader)


def settings(environment: str) -> dict[str, str]:
    """Parameters of an environment: those of its file, else what the templates have as defaults.

    Raises
    ------
    FileNotFoundError
        There is no such environment.
    """
    given: dict[str, str] = json.loads((FOLDER / "parameters" / f"{environment}.json").read_text())["Parameters"]
    defaults = {
        parameter: str(declared["Default"])
        for path in sorted(FOLDER.glob("*.yaml"))
        for parameter, declared in load(path.stem).get("Parameters", {}).items()
        if "Default" in declared
    }
    return defaults | given


class _Loader(yaml.CSafeLoader):  # type: ignore[misc]  # PyYAML ships no types
    pass


def _function(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _function)
