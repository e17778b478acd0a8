"""Which model holds at the clock's moment, and its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shared import storage, sums
from shared.contract import Contract
from shared.database import Database
from shared.errors import ModelError
from shared.settings import S3Prefix, Settings

if TYPE_CHECKING:
    from shared.anomaly import Anomaly
    from shared.model import Model

ANOMALY = "anomaly"
"""Family of the models that rank claims by how unusual they are, where no outcome is known; never a champion."""
STANDING = (
    "SELECT h.model_version AS version, h.threshold, h.metrics, m.family, m.artifact_uri, m.files_sha256, m.train_end, "
    "m.judged_share FROM model_history h JOIN models m USING (model_version) "
    "WHERE h.alias = 'champion' AND h.as_of <= %s "
    # By the clock first: a replay of an earlier day may have written the later entry.
    "ORDER BY h.as_of DESC, h.entry_id DESC LIMIT 1"
)
"""The row that a :class:`Champion` is built of, as of the clock's moment."""


@dataclass(frozen=True)
class Kept:
    """A registered model and its files.

    Attributes
    ----------
    files_sha256 : str or None
        Of the list of its files (:mod:`shared.sums`); None for one that was registered before there was one.
    """

    version: int
    artifact_uri: str
    files_sha256: str | None

    @property
    def folder(self) -> Path:
        """Its files; :func:`folder_of` says how that may fail."""
        return folder_of(self.artifact_uri, self.files_sha256)


@dataclass(frozen=True)
class Judged(Kept):
    """A model that evaluate has judged on enough claims to score with.

    Attributes
    ----------
    judged_share : float or None
        Share of the claims, drawn by id, that it must not learn from; None where time is split.
    threshold : float
        Probability from which a claim is flagged.
    claims_per_week : float
        Volume that evaluate reckoned with.
    """

    family: str
    train_end: datetime
    judged_share: float | None
    threshold: float
    metrics: dict[str, Any]

    @property
    def model(self) -> Model:
        """Read the model; :func:`shared.model.load` says how that may fail."""
        # Most runs look only whether there is a champion; numpy is for those that go on.
        from shared.model import load

        return load(self.folder)


class Champion(Judged):
    """The promoted model."""


def champion(database: Database, as_of: datetime) -> Champion | None:
    """Look up the model that stands as champion, or None: nothing has been promoted yet."""
    found = database.rows(STANDING, [as_of])
    return Champion(**found[0]) if found else None


class Ranking(Kept):
    """The newest model that ranks claims by how unusual they are."""

    @property
    def model(self) -> Anomaly:
        """Read the model; :func:`shared.anomaly.load` says how that may fail."""
        from shared.anomaly import load

        return load(self.folder)


def ranking(database: Database, as_of: datetime) -> Ranking | None:
    """Look up the newest anomaly model, or None: there is none yet."""
    found = database.rows(
        "SELECT model_version AS version, artifact_uri, files_sha256 FROM models WHERE family = %s AND as_of <= %s "
        "ORDER BY model_version DESC LIMIT 1",
        [ANOMALY, as_of],
    )
    return Ranking(**found[0]) if found else None


def check(settings: Settings, database: Database) -> None:
    """Look whether the models that hold can be read, for ``--check``; that there is none yet is no failure."""
    import xgboost  # noqa: F401  what reads a model is looked for also where there is none yet

    if isinstance(settings.artifacts, S3Prefix):
        storage.check(settings.artifacts)
    standing, newest = champion(database, settings.as_of), ranking(database, settings.as_of)
    if standing is not None:
        from shared import peers

        _ = standing.model, peers.load(standing.folder)
    if newest is not None:
        _ = newest.model


def check_fits(artifact_uri: str, files_sha256: str | None, contract: Contract) -> None:
    """Raise unless a model can be read and scores claims as the contract describes them now.

    Raises
    ------
    ModelError
        It does not; or :func:`folder_of` raises.
    """
    from shared.claims import no_claims
    from shared.model import load

    load(folder_of(artifact_uri, files_sha256)).known(no_claims(contract))


def folder_of(artifact_uri: str, files_sha256: str | None) -> Path:
    """Folder of a model's files, which are those that were registered; those in S3 are brought there, once a process.

    Raises
    ------
    ModelError
        They are neither on this machine's disk nor in S3, or :func:`shared.sums.check` finds them amiss.
    ConfigError, TransientError
        S3 refuses, or cannot be reached.

    >>> folder_of("file:///var/models/a%20b", None).as_posix()
    '/var/models/a b'
    """
    parts = urlsplit(artifact_uri)
    if parts.scheme == "s3":
        from shared import artifacts

        return artifacts.fetch(S3Prefix.of(artifact_uri), files_sha256)
    if parts.scheme not in ("", "file"):
        raise ModelError(f"model {artifact_uri}: only a folder, or files in S3, can be read")
    folder = Path(unquote(parts.path))
    sums.check(folder, files_sha256, folder)
    return folder
