"""What a person or the pipeline asks for; each prints what it does, and changes nothing when dry."""

from __future__ import annotations

import difflib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from botocore.exceptions import ClientError

from deploy.launcher.pack import digest, pack
from shared.choreography import STAGES

from .account import Account, RolloutError, Template
from .console import Console
from .release import CONSOLE, Release, differences, id_of, name_of, previous, read_parameters
from .verify import verify

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "deploy" / "templates"
PROVISIONED = ("data", "delivery")
"""Stacks that stand before the first release, in the order in which they need each other."""


class NotVerifiedError(RolloutError):
    """Something has to be mended before anything is changed."""


@dataclass(frozen=True)
class Context:
    """Where the verbs work, and how.

    Attributes
    ----------
    account : Account
    dry_run : bool
        Say what would be done.
    code_deploy : bool
        Whether the place has CodeDeploy.
    """

    account: Account
    dry_run: bool = False
    code_deploy: bool = True

    def configuration(self) -> tuple[dict[str, str], dict[str, str]]:
        """Parameters and tags of the environment, from its file."""
        return read_parameters((TEMPLATES / "parameters" / f"{self.account.environment}.json").read_text())


def provision(context: Context, stacks: tuple[str, ...]) -> None:
    """Make or update the stacks that releases need."""
    parameters, tags = context.configuration()
    for name in stacks:
        template = Template((TEMPLATES / f"{name}.yaml").read_text())
        given = _declared(context, template, {**parameters, "Environment": context.account.environment})
        if context.dry_run:
            _print_preview(context, name, template, given, tags)
            continue
        begun = context.account.deploy(name, template, given, tags)
        print(f"{name}: {context.account.wait(begun) if begun else 'as it should be'}")


def record(context: Context, tag: str, git_sha: str) -> None:
    """Make a release of the images that were pushed under a tag, and of this working copy's launcher and templates."""
    identity = tag.removeprefix("release-")
    packed = pack()
    pushed = {name: context.account.image(name, tag) for name in (*STAGES, CONSOLE)}
    if missing := [stage for stage in STAGES if pushed[stage] is None]:
        repositories = (f"claimsight-{context.account.environment}/{stage}" for stage in missing)
        raise RolloutError(*(f"{repository} has no image {tag}: push it first" for repository in repositories))
    release = Release(
        identity,
        git_sha,
        datetime.now(UTC).isoformat(timespec="seconds"),
        {name: image for name, image in pushed.items() if image is not None},
        tuple(sorted(path.stem for path in (ROOT / "contracts").glob("*.toml"))),
        digest(packed),
    )
    print(release.to_json())
    if not context.dry_run:
        templates = {name: (TEMPLATES / f"{name}.yaml").read_bytes() for name in release.templates}
        context.account.keep(release, templates, packed)


def promote(context: Context, source: Account, identity: str) -> None:
    """Copy a release from another environment: the same images, under the same digests."""
    release = source.release(identity)
    images = {}
    for stage, image in release.images.items():
        uri, _, sha256 = image.partition("@")
        there = uri.replace(f"claimsight-{source.environment}/", f"claimsight-{context.account.environment}/")
        images[stage] = f"{there}@{sha256}"
        print(f"{image} -> {there}:release-{identity}")
        if not context.dry_run and not context.account.has_image(images[stage]):
            command = ["docker", "buildx", "imagetools", "create", "--tag", f"{there}:release-{identity}", image]
            subprocess.run(command, check=True)
    if not context.dry_run:
        templates = {name: source.read(release.template_key(name)) for name in release.templates}
        context.account.keep(replace(release, images=images), templates, source.read(release.launcher_key))


def check(context: Context, identity: str) -> None:
    """Verify a release.

    Raises
    ------
    NotVerifiedError
        With all that has to be mended.
    """
    release, stacks = _release(context, identity)
    problems = []
    for finding in verify(context.account, release, stacks, code_deploy=context.code_deploy):
        print(f"{'no' if finding.problem else 'ok':3} {finding.question}{finding.problem and ': '}{finding.problem}")
        problems += [f"{finding.question}: {finding.problem}"] if finding.problem else []
    if problems:
        raise NotVerifiedError(*problems)


def diff(context: Context, identity: str) -> None:
    """Show what a release would change: parameters, templates and, unless dry, CloudFormation's own word."""
    release, stacks = _release(context, identity)
    _, tags = context.configuration()
    for name, (template, parameters) in stacks.items():
        for line in _changes(context, name, parameters):
            print(line)
        before = context.account.template(name)
        for line in difflib.unified_diff(
            before.splitlines(), template.text.splitlines(), f"deployed {name}", release.id, lineterm="", n=1
        ):
            print(line)
        if not context.dry_run:
            _print_preview(context, name, template, parameters, tags)


def rollout(context: Context, identity: str) -> None:
    """Deploy a release: verify, update the stacks, wait, write it down, tell the launcher; at last the console.

    Raises
    ------
    RolloutError
        Not verified, or a stack went back to what it was, or the first rehearsal failed, or the console's check.
    """
    check(context, identity)
    release, stacks = _release(context, identity)
    if context.dry_run:
        print(f"would deploy {', '.join(stacks)} of {release.id}")
        return
    _, tags = context.configuration()
    account = context.account
    (template, parameters), first = stacks.pop("jobs"), account.stack("jobs") is None
    if begun := account.deploy("jobs", template, parameters, tags):
        print(f"{parameters['Release']}: {account.wait(begun)}")
        # A first alias shifts from nowhere, so CodeDeploy has no part in it; nor has it where it does not exist.
        if (first or not context.code_deploy) and (problems := account.rehearse()):
            raise RolloutError(f"{release.id} is deployed, and its rehearsal failed", *problems)
        account.note(release)
        account.announce(release)
        print(f"{release.id} runs; train starts")
    else:
        print(f"{release.id} runs already, with these parameters")
    if stacks:
        _rollout_console(context, stacks, tags)


def _rollout_console(
    context: Context, stacks: Mapping[str, tuple[Template, dict[str, str]]], tags: Mapping[str, str]
) -> None:
    """Bring up the console of a release beside the one that serves, have it checked, and lead people to it."""
    account, console = context.account, Console(context.account)
    first = account.stack(CONSOLE) is None
    for name, (template, parameters) in stacks.items():
        begun = account.deploy(name, template, parameters, tags)
        print(f"{name}: {account.wait(begun) if begun else 'as it should be'}")
    revision = account.outputs(CONSOLE)["Task"]
    with console.open(int(stacks[CONSOLE][1]["ConsoleTasks"]), stay=first):
        if console.revision() != revision:
            console.shift(revision)
        elif problems := console.check():  # the first one shifts from nowhere, as the launcher's does
            raise RolloutError("the console is deployed, and its check failed", *problems)
    print(f"console: {revision.rpartition('/')[2]} serves")


def rollback(context: Context) -> None:
    """Deploy the release that ran before this one."""
    before = previous(context.account.deployments())
    if before is None:
        raise RolloutError("no other release ever ran here")
    print(f"back to {before.release} of {before.at}")
    rollout(context, before.release)


def wait(context: Context) -> None:
    """Wait for a roll-out that somebody else began."""
    if not context.dry_run:
        print(context.account.wait("jobs"))


def smoke(context: Context) -> None:
    """Run each stage of what is deployed once more.

    Raises
    ------
    RolloutError
        With what failed.
    """
    if context.dry_run:
        return
    if problems := context.account.rehearse():
        raise RolloutError(*problems)
    print("the database and every stage are in order")


def status(context: Context) -> None:
    """What runs now, since when, from which commit, and what the newest release would change."""
    account = context.account
    live = account.live()
    stack = account.stack("jobs")
    if live is None or stack is None:
        print(f"claimsight-{account.environment}: nothing runs yet")
        return
    running = id_of(live["RELEASE"])
    deployed = next((one for one in reversed(account.deployments()) if one.release == running), None)
    print(f"runs     {running}, version {live['VERSION']} of the launcher, stack {stack['StackStatus']}")
    print(f"since    {deployed.at if deployed else live['SINCE']}{f', by {deployed.by}' if deployed else ''}")
    print(f"commit   {account.release(running).git_sha}")
    print(f"lines    {live['LINES']}")
    for stage, image in _images(context, live).items():
        print(f"{stage:8} {image}")
    if account.stack(CONSOLE):
        print(f"{CONSOLE:8} {account.image_of(Console(account).revision())}")
    newest = account.releases()[-1]
    release, stacks = _release(context, newest)
    changes = [line for name, (_, parameters) in stacks.items() for line in _changes(context, name, parameters)]
    print(f"newest   {newest}, commit {release.git_sha}")
    for line in changes or ["nothing would change"]:
        print(f"         {line}")


def history(context: Context) -> None:
    """All that ever ran, the newest first."""
    for one in reversed(context.account.deployments()):
        print(f"{one.at[:19]}  {one.release}  {one.git_sha}  {one.by}")


def _images(context: Context, live: Mapping[str, str]) -> dict[str, str]:
    """Images that the launcher would start now, by stage: those of the revisions that its version pins."""
    return {stage: context.account.image_of(definition) for stage, definition in json.loads(live["TASKS"]).items()}


def _release(context: Context, identity: str) -> tuple[Release, dict[str, tuple[Template, dict[str, str]]]]:
    """A release, and of each stack to be deployed, in order, template and parameters: jobs, and a console if wanted."""
    account = context.account
    identity = identity or (account.releases() or [""])[-1]
    release = account.release(identity)
    configured, _ = context.configuration()
    own = {"Environment": account.environment, **release.parameters(account.bucket), "Release": ""}
    has_console = bool(configured.get("ConsoleCertificate")) and context.code_deploy
    if has_console:
        own["Serving"] = Console(account).serving()
    stacks = {}
    for name in release.templates if has_console else ("jobs",):
        template = account.template_of(release, name)
        stacks[name] = template, _declared(context, template, {**configured, **own})
    template, parameters = stacks["jobs"]
    parameters["Release"] = name_of(release, template.text, parameters)
    return release, stacks


def _changes(context: Context, name: str, parameters: Mapping[str, str]) -> list[str]:
    """Parameters of a stack that would change, but for whose turn it is: CodeDeploy changes that."""
    before, after = context.account.parameters(name), dict(parameters)
    return differences({**before, "Serving": ""}, {**after, "Serving": ""})


def _declared(context: Context, template: Template, parameters: Mapping[str, str]) -> dict[str, str]:
    """What a template is to get of the one file that serves all stacks of an environment, or else its defaults."""
    try:
        declared = context.account.declared(template)
    except ClientError as error:
        raise NotVerifiedError(f"template: {error.response['Error'].get('Message')}") from None
    given = {key: parameters.get(key, default) for key, default in declared.items()}
    return {key: value for key, value in given.items() if value is not None}


def _print_preview(
    context: Context, name: str, template: Template, parameters: Mapping[str, str], tags: Mapping[str, str]
) -> None:
    for change in context.account.preview(name, template, parameters, tags):
        replaced = {"True": ", replaced", "Conditional": ", perhaps replaced"}.get(change.get("Replacement", ""), "")
        print(f"{change['Action'].lower():7} {change['LogicalResourceId']} ({change['ResourceType']}){replaced}")
