"""Run a buildspec as CodeBuild does: its phases in order, in one shell, each with its own way to fail.

Rules: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html (version 0.2)
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
KNOWN = {
    "": {"version", "env", "phases", "artifacts"},
    "env": {"shell", "variables", "exported-variables"},
    "phase": {"on-failure", "runtime-versions", "commands", "finally"},
    "artifacts": {"files"},
}
"""What this runner knows; anything else it would leave out silently."""


@dataclass(frozen=True)
class Build:
    """How a build went.

    Attributes
    ----------
    succeeded : bool
    phases : dict
        Phases that ran, in order, and whether each succeeded.
    exported : dict
        Variables that later actions of a pipeline see.
    artifacts : list of Path
        What the build hands on, relative to its folder.
    output : str
    """

    succeeded: bool
    phases: dict[str, bool]
    exported: dict[str, str]
    artifacts: list[Path]
    output: str


def run(buildspec: Path, folder: Path, environment: Mapping[str, str]) -> Build:
    """Run a buildspec in a folder.

    Parameters
    ----------
    buildspec : Path
    folder : Path
        The source.
    environment : Mapping
        All that the shell sees, but for the buildspec's own variables; it goes before those, as the project's does.
    """
    spec = yaml.safe_load(buildspec.read_text())
    _check(spec)
    env = spec.get("env", {})
    variables = {name: str(value) for name, value in env.get("variables", {}).items()}
    exported = env.get("exported-variables", [])
    report = folder.parent / f"{folder.name}.report"
    done = subprocess.run(
        [env.get("shell", "sh"), "-c", _script(spec["phases"], exported, report)],
        cwd=folder,
        env={**variables, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    told = [line.split(" ", 2) for line in report.read_text().splitlines()]
    return Build(
        succeeded=done.returncode == 0,
        phases={name: status == "0" for kind, name, status in told if kind == "phase"},
        exported={name: value for kind, name, value in told if kind == "exported"},
        artifacts=_artifacts(folder, spec.get("artifacts", {}).get("files", [])),
        output=done.stdout,
    )


def _check(spec: Mapping[str, Any]) -> None:
    assert spec["version"] == 0.2
    given = [("", spec), ("env", spec.get("env", {})), ("artifacts", spec.get("artifacts", {}))]
    for kind, keys in [*given, *(("phase", phase) for phase in spec["phases"].values())]:
        assert set(keys) <= KNOWN[kind], f"{kind}: {set(keys) - KNOWN[kind]} is not known here"
    assert set(spec["phases"]) <= set(PHASES)


def _script(phases: Mapping[str, Any], exported: list[str], report: Path) -> str:
    lines = [f": >{quote(str(report))}", "failed=0", "stop=0"]
    for name in PHASES:
        if name not in phases:
            continue
        phase = phases[name]
        # One shell runs all commands, so that what one exports the next one sees.
        for part in ("commands", "finally"):
            evaluated = (f"  eval {quote(command)} || return 1" for command in phase.get(part, []))
            lines += [f"{part}_{name}() {{ :", *evaluated, "}"]
        # By default a failed build still goes through post_build.
        default = "CONTINUE" if name == "build" else "ABORT"
        stops = int(phase.get("on-failure", default) == "ABORT")
        lines += [
            'if [ "$stop" = 0 ]; then',
            f"  commands_{name}; status=$?",
            f"  finally_{name} || status=1",
            f'  echo "phase {name} $status" >>{quote(str(report))}',
            f'  if [ "$status" != 0 ]; then failed=1; stop={stops}; fi',
            "fi",
        ]
    lines += [f'echo "exported {name} ${{{name}:-}}" >>{quote(str(report))}' for name in exported]
    return "\n".join([*lines, 'exit "$failed"'])


def _artifacts(folder: Path, patterns: list[str]) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(path.relative_to(folder) for path in found)


def environment_of(**given: str) -> dict[str, str]:
    """A bare environment, with what is given."""
    kept = ("PATH", "HOME", "LANG", "DOCKER_HOST")
    return {name: os.environ[name] for name in kept if name in os.environ} | given
