"""The shape of the code: what import-linter cannot see."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from console.api.settings import ConsoleSettings
from console.api.settings import from_environment as console_settings
from shared.settings import Settings, from_environment, variable

ROOT = Path(__file__).parents[2]
CODE = sorted(path for folder in ("shared", "jobs", "deploy") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

AMBIENT = {"open", "input", "print", "environ", "environb", "getenv", "now", "today", "utcnow"}
"""Names by which code reaches its surroundings or the clock."""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _contract(name: str) -> list[str]:
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    return next(contract["source_modules"] for contract in contracts if contract["name"].startswith(name))


DECISIONS = [ROOT / f"{module.replace('.', '/')}.py" for module in _contract("Decisions")]


@pytest.mark.parametrize("path", DECISIONS, ids=_name)
def test_decisions_touch_nothing_around_them(path: Path) -> None:
    """A decision module reads no environment, no file and no clock."""
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not (names | attributes) & AMBIENT


@pytest.mark.parametrize("path", sorted(ROOT.glob("jobs/*/__main__.py")), ids=_name)
def test_a_stage_only_gathers_decides_and_applies(path: Path) -> None:
    """The entry of a stage is under 60 lines."""
    assert len(path.read_text().splitlines()) < 60


@pytest.mark.parametrize("path", CODE + TESTS, ids=_name)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    """Every file is under 400 lines."""
    assert len(path.read_text().splitlines()) < 400


def test_shared_re_exports_nothing() -> None:
    """An import of one part of shared pulls in no other: its __init__ is empty."""
    assert not (ROOT / "shared" / "__init__.py").read_bytes()


def test_example_environment_names_every_setting() -> None:
    """.env.example has each variable of the stages' and the console's settings once, and values that they take."""
    lines = re.findall(r"^#?([A-Z_]+)=(.+)$", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    fields = {*Settings.model_fields, *ConsoleSettings.model_fields}
    assert sorted(name for name, _ in lines) == sorted(map(variable, fields))
    from_environment(dict(lines))
    told = console_settings(dict(lines))
    assert told.oidc_roles["siu"] == "investigator"
    assert not told.has_local_users


def test_locks_agree() -> None:
    """A package has one version in all locks but that of bench's peers, and no lock says where packages come from."""
    pins: dict[str, set[str]] = {}
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert not re.search(r"://|^-|\s@\s", text, flags=re.MULTILINE), path.name
        if path.stem == "bench":
            continue
        for package, version in re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==(\S+)", text, flags=re.MULTILINE):
            pins.setdefault(package, set()).add(version)
    assert pins
    assert not {package for package, versions in pins.items() if len(versions) > 1}


def test_every_group_has_its_lock() -> None:
    """Each package that a dependency group asks for is in the group's lock; run `make lock` if not."""
    for group, packages in PYPROJECT["dependency-groups"].items():
        path = ROOT / "requirements" / f"{group}.txt"
        if group == "local":  # only ever installed as part of run
            continue
        pinned = set(re.findall(r"^([a-z0-9-]+)", path.read_text(), flags=re.MULTILINE))
        asked = {re.split(r"[\[><=!]", package)[0] for package in packages if isinstance(package, str)}
        assert asked <= pinned, group
