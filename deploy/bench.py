"""Run the benchmarks: ``python -m deploy.bench [NAME ...]``, all of them by default.

Each prints its table and writes ``.claimsight/bench/<name>.json``. A goal that is not met is a finding and no failure.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.benchmarks import console, drift, etl, images, score, train
from deploy.benchmarks.figure import Figure, MissingPartError
from shared.arguments import Parser

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "console": console.measure,
    "drift": drift.measure,
    "etl": etl.measure,
    "images": images.measure,
    "score": score.measure,
    "train": train.measure,
}
FOLDER = Path(".claimsight/bench")


def main() -> None:
    """Run what the command line names."""
    parser = Parser(prog="python -m deploy.bench", description="Run benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)}; all by default")
    asked = parser.parse_args().names
    names = asked or list(BENCHMARKS)
    if unknown := sorted(set(names) - BENCHMARKS.keys()):
        parser.error(f"no benchmark {', '.join(unknown)}; there is: {', '.join(BENCHMARKS)}")
    terminal = Console()
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            with terminal.status(f"{name} ..."):
                figures = BENCHMARKS[name]()
        except MissingPartError as error:
            if asked:
                sys.exit(f"{name}: {error}")
            terminal.print(f"[bold]{name} was left out[/]: {error}", highlight=False)
            continue
        report = {
            "name": name,
            "machine": _machine(),
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "figures": [figure.record() for figure in figures],
        }
        (FOLDER / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n")
        terminal.print(_table(name, figures))


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _table(name: str, figures: list[Figure]) -> Table:
    table = Table("figure", "value", "goal", "met", "how", title=name)
    for figure in figures:
        goal = "" if figure.goal is None else f"{'≤' if figure.at_most else '≥'} {figure.goal:,.4g} {figure.unit}"
        met = {None: "", True: "yes", False: "no"}[figure.met]
        table.add_row(figure.name, f"{figure.value:,.4g} {figure.unit}", goal, met, figure.how)
    return table


if __name__ == "__main__":
    main()
