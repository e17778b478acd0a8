"""The buildspecs, run: of a commit a release, of a release a deployment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from shared.choreography import STAGES
from tests.buildspec import Build, environment_of, run
from tests.rollout_templates import committed, lend_environment
from tests.s3 import S3, local_s3

ROOT = Path(__file__).parents[2]
PUSH = """
import json, os, sys
import boto3
environment, *names = sys.argv[1:]
for name in set(names) - {"mlflow"}:
    manifest = {"schemaVersion": 2, "layers": [], "config": {"digest": os.environ["GIT_SHA"] + name}}
    boto3.client("ecr").put_image(
        repositoryName=os.environ["REPOSITORY"] + "/" + name,
        imageManifest=json.dumps(manifest),
        imageTag=os.environ["TAG"],
    )
"""
"""In place of minutes of building: images that hold nothing, under the names and tags that the build gives them."""


def _spec(folder: Path, text: str) -> Build:
    (folder / "source").mkdir()
    (folder / "buildspec.yml").write_text("version: 0.2\n" + text)
    return run(folder / "buildspec.yml", folder / "source", environment_of(GIVEN="project"))


def test_phases_share_a_shell(tmp_path: Path) -> None:
    """What a command sets, later phases see; the project's variables go before the buildspec's."""
    build = _spec(
        tmp_path,
        """
env:
  variables: {GIVEN: buildspec, OTHER: buildspec}
  exported-variables: [SEEN]
phases:
  post_build: {commands: ['SEEN="$SEEN $OTHER"']}
  install: {commands: ['SEEN=$GIVEN', 'echo made >made.txt']}
artifacts: {files: ['*.txt']}
""",
    )
    assert build.phases == {"install": True, "post_build": True}
    assert (build.exported, build.artifacts) == ({"SEEN": "project buildspec"}, [Path("made.txt")])


@pytest.mark.parametrize(
    ("phase", "failure", "ran"),
    [
        ("install", "", ["install"]),
        ("install", "on-failure: CONTINUE, ", ["install", "build", "post_build"]),
        ("build", "", ["install", "build", "post_build"]),
        ("build", "on-failure: ABORT, ", ["install", "build"]),
    ],
)
def test_how_a_phase_fails(tmp_path: Path, phase: str, failure: str, ran: list[str]) -> None:
    """A failed command ends its phase, and the phase the build if it says so; what is final is done in any case."""
    phases = {"install": "{commands: ['true']}", "build": "{commands: ['true']}", "post_build": "{commands: ['true']}"}
    phases[phase] = f"{{{failure}commands: ['echo first; false', 'echo second'], finally: ['echo third']}}"
    build = _spec(tmp_path, "phases:\n" + "".join(f"  {name}: {text}\n" for name, text in phases.items()))
    assert not build.succeeded
    assert (list(build.phases), build.phases[phase]) == (ran, False)
    assert build.output.split() == ["first", "third"]


@pytest.fixture(scope="module")
def aws() -> Iterator[S3]:
    with (
        tempfile.TemporaryDirectory(prefix="claimsight-test-", ignore_cleanup_errors=True) as folder,
        local_s3(Path(folder), services="") as served,
    ):
        yield served


@pytest.fixture(scope="module")
def commit(aws: S3, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A commit beside an account with repositories and a bucket."""
    return committed(aws, tmp_path_factory.mktemp("commit"))


def _environment(aws: S3, commit: Path, **given: str) -> dict[str, str]:
    push = commit.parent / "push.py"
    push.write_text(PUSH)
    return environment_of(**aws.environment, SETUP="true", CHECKS="true", BUILD=f"{sys.executable} {push}", **given)


def _client(aws: S3, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_of_a_commit_a_release_and_of_that_a_deployment(aws: S3, commit: Path, tmp_path: Path) -> None:
    """The build makes a release of its commit; from what it hands on, and nothing else, the other deploys it."""
    build = run(commit / "deploy" / "buildspec.yml", commit, _environment(aws, commit, PUBLISH="1"))
    assert build.succeeded, build.output
    assert list(build.phases) == ["install", "build", "post_build"]
    release = json.loads((commit / ".claimsight" / "release.json").read_text())
    sha = subprocess.run(["git", "rev-parse", "HEAD"], cwd=commit, check=True, capture_output=True, text=True).stdout
    assert (release["id"], release["git_sha"]) == (build.exported["RELEASE"], sha.strip())
    assert sorted(release["images"]) == sorted((*STAGES, "console"))
    assert Path(".claimsight/release.json") in build.artifacts

    handed_on = tmp_path / "artifact"
    for path in build.artifacts:
        (handed_on / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(commit / path, handed_on / path)
    lend_environment(handed_on)
    given = _environment(
        aws, commit, ENVIRONMENT="staging", RELEASE=release["id"], VERB="rollout", OPTIONS="--without-codedeploy"
    )
    deployment = run(handed_on / "deploy" / "buildspec-deploy.yml", handed_on, given)
    assert deployment.succeeded, deployment.output
    assert f"runs     {release['id']}, version 1" in deployment.output
    (stack,) = _client(aws, "cloudformation").describe_stacks(StackName="claimsight-staging-jobs")["Stacks"]
    images = {one["ParameterValue"] for one in stack["Parameters"] if one["ParameterKey"].startswith("Image")}
    assert images == {release["images"][stage] for stage in STAGES}

    smoke = run(handed_on / "deploy" / "buildspec-deploy.yml", handed_on, {**given, "VERB": "smoke", "OPTIONS": ""})
    assert smoke.succeeded, smoke.output


def test_what_fails_its_checks_is_not_published(aws: S3, commit: Path) -> None:
    """A commit whose tests fail makes no release."""
    before = _client(aws, "s3").list_objects_v2(Bucket="claimsight-staging-artifacts")["KeyCount"]
    given = _environment(aws, commit, PUBLISH="1") | {"CHECKS": "false"}
    build = run(commit / "deploy" / "buildspec.yml", commit, given)
    assert (build.succeeded, build.phases) == (False, {"install": True, "build": False})
    assert _client(aws, "s3").list_objects_v2(Bucket="claimsight-staging-artifacts")["KeyCount"] == before


def test_a_pull_request_publishes_nothing(aws: S3, commit: Path) -> None:
    """Unless the project says so, a build checks and does no more: it could not, for want of anything to push by."""
    given = _environment(aws, commit) | {"BUILD": "false", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    assert run(commit / "deploy" / "buildspec.yml", commit, given).succeeded


def test_what_no_commit_has_is_not_released(aws: S3, commit: Path, tmp_path: Path) -> None:
    """A working copy with changes makes no release for staging."""
    changed = tmp_path / "source"
    shutil.copytree(commit, changed, symlinks=True)
    with (changed / "README.md").open("a") as readme:
        readme.write("changed\n")
    build = run(changed / "deploy" / "buildspec.yml", changed, _environment(aws, commit, PUBLISH="1"))
    assert not build.succeeded
    assert "changes that no commit has" in build.output


def test_the_commands_that_the_buildspec_leaves_out_here_are_real() -> None:
    """What the tests replace are targets of the Makefile and scripts that are there."""
    spec = (ROOT / "deploy" / "buildspec.yml").read_text()
    for setting in ("SETUP: make setup", "CHECKS: make check test", "BUILD: sh deploy/push.sh"):
        assert setting in spec
    targets = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in targets for target in ("setup", "check", "test"))
    assert os.access(ROOT / "deploy" / "push.sh", os.R_OK)
