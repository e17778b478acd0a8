"""The emulator of AWS, as far as it needs no engine."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.factories import ROOT

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GATEWAY_PORT": "1",
    "LOCAL_AWS_BRIDGE": "127.0.0.1",
    "LOCAL_AWS_POSTGRES": "none",
}


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_all_that_is_patched_is_there() -> None:
    """The locked ministack has every name that the emulator patches."""
    assert _python("import deploy.local.aws_emulator").returncode == 0


def test_another_ministack_is_refused() -> None:
    """Where a patched name is gone, the emulator ends with a line that says which, and what to do."""
    ended = _python("from ministack.services import ecs; del ecs._mark_task_stopped; import deploy.local.aws_emulator")
    assert ended.returncode == 1
    assert "has no ministack.services.ecs._mark_task_stopped" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
