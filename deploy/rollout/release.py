"""A release: images by digest, the launcher's zip and the templates that go with them, made of one commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FOLDER = "releases"
"""Where in the artifact bucket releases are."""
CONSOLE = "console"
"""Its image, and the stack of its service."""
TEMPLATES = ("jobs", CONSOLE, f"{CONSOLE}-delivery")
"""Those that a release has of its own, in the order in which their stacks are deployed."""


@dataclass(frozen=True)
class Release:
    """One release.

    Attributes
    ----------
    id : str
        When it was made and from which commit: ``20261122T033600-0870452``. Later ones sort later.
    git_sha : str
    created : str
        ISO 8601, UTC.
    images : Mapping
        Stage, or ``console``, to ``repository@sha256:…``; releases before there was a console have none of it.
    contracts : tuple of str
        Lines of business whose contracts are in the images.
    launcher_sha256 : str
        Of the launcher's zip.
    """

    id: str
    git_sha: str
    created: str
    images: Mapping[str, str]
    contracts: tuple[str, ...]
    launcher_sha256: str

    @property
    def folder(self) -> str:
        """Prefix of its objects."""
        return f"{FOLDER}/{self.id}"

    @property
    def launcher_key(self) -> str:
        """Object that is the launcher's zip."""
        return f"{self.folder}/launcher.zip"

    @property
    def templates(self) -> tuple[str, ...]:
        """Names of its templates."""
        return TEMPLATES if CONSOLE in self.images else TEMPLATES[:1]

    def template_key(self, name: str) -> str:
        """Object that is one of its templates, as it was then.

        >>> Release("r1", "", "", {}, (), "").template_key("jobs")
        'releases/r1/jobs.yaml'
        """
        return f"{self.folder}/{name}.yaml"

    def to_json(self) -> str:
        """As it lies in the bucket."""
        return json.dumps(asdict(self), indent=2)

    def parameters(self, bucket: str) -> dict[str, str]:
        """What it says to its templates, but for its name."""
        images = {f"Image{name.title()}": image for name, image in self.images.items()}
        return {**images, "LauncherBucket": bucket, "LauncherKey": self.launcher_key}


def from_json(text: str) -> Release:
    """Read what :meth:`Release.to_json` wrote."""
    fields = json.loads(text)
    return Release(**{**fields, "contracts": tuple(fields["contracts"])})


def name_of(release: Release, template: str, parameters: Mapping[str, str]) -> str:
    """What a release is called once it is deployed with certain parameters: ``<id>.<8 hexadecimal digits>``.

    A version of the launcher is published, and rehearsed, whenever this name is another: so also when only a parameter
    changes, the lines of business say.

    >>> release = Release("r", "", "", {}, (), "")
    >>> name_of(release, "", {"Lines": "demo"}) == name_of(release, "", {"Lines": "demo,auto"})
    False
    """
    said = json.dumps([template, sorted(parameters.items())])
    return f"{release.id}.{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def id_of(name: str) -> str:
    """The release's id in its name.

    >>> id_of("20261122T033600-0870452.1f0e9a77")
    '20261122T033600-0870452'
    """
    return name.rpartition(".")[0]


@dataclass(frozen=True)
class Deployment:
    """A release that came to run: what a rollback goes by."""

    release: str
    git_sha: str
    at: str
    by: str

    @property
    def key(self) -> str:
        """Its object; the names sort by time."""
        return f"deployments/{self.at.replace(':', '')}-{self.release}.json"


def previous(deployments: list[Deployment]) -> Deployment | None:
    """The release before the one that runs now, of deployments in order of time; None if there was no other.

    After a rollback it is the one before that, not the one that was rolled back.

    >>> made = [Deployment(name, "", "", "") for name in ("a", "b", "c", "b")]
    >>> previous(made).release, previous(made[:3]).release, previous(made[:1])
    ('a', 'b', None)
    """
    line: list[Deployment] = []
    for deployment in deployments:
        known = next((place for place, one in enumerate(line) if one.release == deployment.release), None)
        line = [*line, deployment] if known is None else line[: known + 1]
    return line[-2] if len(line) > 1 else None


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Lines that tell what changes from one set of parameters to another.

    >>> differences({"Spot": "1", "Lines": "demo"}, {"Spot": "0", "Lines": "demo", "LogDays": "30"})
    ['+ LogDays: 30', '~ Spot: 1 -> 0']
    """
    lines = []
    for key in sorted(before.keys() | after.keys()):
        match before.get(key), after.get(key):
            case old, new if old == new:
                continue
            case None, new:
                lines.append(f"+ {key}: {new}")
            case old, None:
                lines.append(f"- {key}: {old}")
            case old, new:
                lines.append(f"~ {key}: {old} -> {new}")
    return lines


def read_parameters(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters and tags of an environment, for all of its stacks."""
    both: dict[str, Any] = json.loads(text)
    return {key: str(value) for key, value in both["Parameters"].items()}, dict(both.get("Tags", {}))
