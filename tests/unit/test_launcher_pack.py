"""The zip in which the launcher goes to Lambda."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from deploy.launcher.pack import ROOT, pack


def test_the_same_code_makes_the_same_bytes(tmp_path: Path) -> None:
    """Neither the time of packing nor that of the files, nor who packs, changes a byte."""
    before = os.umask(0o077)
    try:
        packed = pack()
    finally:
        os.umask(before)
    out = tmp_path / "below" / "launcher.zip"
    subprocess.run([sys.executable, "-m", "deploy.launcher.pack", out], cwd=ROOT, check=True, capture_output=True)
    assert out.read_bytes() == packed


def test_what_is_packed_runs_by_itself(tmp_path: Path) -> None:
    """All functions import from the zip alone, with this code's rules and exit codes; the packer is not in it."""
    zipfile.ZipFile(io.BytesIO(pack())).extractall(tmp_path)
    script = (
        "import launcher.main, launcher.smoke, launcher.console, shared.choreography, shared.errors, sys;"
        "print(launcher.main.handle.__name__, launcher.smoke.handle.__name__, launcher.console.ask.__name__);"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('shared', 'jobs', 'deploy')))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["handle handle ask", "['shared', 'shared.choreography', 'shared.errors']"]
    for name in ("choreography", "errors"):
        assert (tmp_path / "shared" / f"{name}.py").read_bytes() == (ROOT / "shared" / f"{name}.py").read_bytes()
    assert not (tmp_path / "launcher" / "pack.py").exists()
