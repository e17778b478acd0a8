"""Stop the Postgres servers whose data stands below a folder, and no other process.

::

    python -m deploy.local.stop .claimsight

It needs nothing but the standard library, since `make clean` may find no environment.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PATIENCE = 30.0
"""Seconds that a server gets; a fast shutdown takes well under one unless the disk is busy."""


def stop(folder: Path) -> list[Path]:
    """Stop each server, rolling back what it has in hand.

    Returns
    -------
    list of Path
        Data directories of servers that would not stop; nothing there may be removed.
    """
    running = {file: pid for file in folder.rglob("postmaster.pid") if (pid := _server(file)) is not None}
    for pid in running.values():
        os.kill(pid, signal.SIGINT)  # Postgres' word for a fast shutdown
    deadline = time.monotonic() + PATIENCE
    while any(file.exists() for file in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [file.parent for file in running if file.exists()]


def _server(file: Path) -> int | None:
    """Process that the file names, if it is a server on these very data: after a crash the number may be another's."""
    first = file.read_text().partition("\n")[0]
    command = _command_line(int(first)) if first.isdigit() else ""
    return int(first) if "postgres" in command and str(file.parent.resolve()) in command else None


def _command_line(pid: int) -> str:
    if sys.platform == "linux":  # `ps` is missing from slim images
        file = Path(f"/proc/{pid}/cmdline")
        return file.read_bytes().replace(b"\x00", b" ").decode(errors="replace") if file.exists() else ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


if __name__ == "__main__":
    if stubborn := stop(Path(sys.argv[1])):
        sys.exit(f"Postgres still runs on {', '.join(map(str, stubborn))}; stop it, then try again")
