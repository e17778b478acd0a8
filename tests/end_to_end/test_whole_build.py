"""All of buildspec.yml, with real checks and images: minutes, so `make test-long` runs it and `make test` does not."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from shared.choreography import STAGES
from tests.buildspec import environment_of, run
from tests.rollout_templates import committed
from tests.s3 import local_s3

NAMES = (*STAGES, "mlflow")
CHECKS = os.environ.get("CLAIMSIGHT_WHOLE_BUILD", "")
PUSH = """
shift
exec sh deploy/local/images.sh "$@" --push
"""
"""deploy/push.sh, but for the login: the local registry asks for none."""


@pytest.mark.skipif(not CHECKS, reason="`make test-long` runs the whole build")
def test_a_build_as_codebuild_does_it(tmp_path: Path) -> None:
    """Checked, built and pushed, a release pins digests under which the registry has the images, to be pulled."""
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder,
        local_s3(Path(folder), services="") as aws,
    ):
        commit = committed(aws, tmp_path)
        (tmp_path / "push.sh").write_text(PUSH)
        registry = aws.endpoint.removeprefix("http://")
        given = environment_of(
            **aws.environment,
            SETUP="true",
            CHECKS=CHECKS,
            BUILD=f"sh {tmp_path / 'push.sh'}",
            REGISTRY=registry,
            PUBLISH="1",
        )
        build = run(commit / "deploy" / "buildspec.yml", commit, given)
        pushed = [f"{registry}/claimsight-staging/{name}:release-{build.exported['RELEASE']}" for name in NAMES]
        try:
            assert build.succeeded, build.output[-4000:]
            release = json.loads((commit / ".claimsight" / "release.json").read_text())
            subprocess.run(["docker", "rmi", *pushed], check=True, capture_output=True)
            for stage in STAGES:
                digest = release["images"][stage].partition("@")[2]
                pushed.append(f"{registry}/claimsight-staging/{stage}@{digest}")
                subprocess.run(["docker", "pull", "--quiet", pushed[-1]], check=True)
                revision = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
                said = subprocess.run(
                    ["docker", "inspect", "--format", revision, pushed[-1]], check=True, capture_output=True, text=True
                )
                assert said.stdout.strip() == release["git_sha"]
        finally:
            subprocess.run(["docker", "rmi", *pushed], check=False, capture_output=True)
