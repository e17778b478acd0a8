"""SHA-256 of a model's files, in a list beside them: what train registered is what is read, in a folder as in S3."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shared.errors import ModelError

NAME = "SHA256SUMS"
"""The list, as ``sha256sum`` writes it; without it, a model is not whole."""


def write(folder: Path) -> str:
    """Write the list of all files in a folder.

    Returns
    -------
    str
        The list's own SHA-256, to be kept where whoever can write to the files cannot.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names if name != NAME]
    (folder / NAME).write_text("".join(lines))
    return _sha256(folder / NAME)


def listed(folder: Path, sha256: str | None, model: object) -> dict[str, str]:
    """Read the list: SHA-256 by file.

    Parameters
    ----------
    sha256 : str or None
        The list's own; None where it is not known.
    model : object
        As an error names it.

    Raises
    ------
    ModelError
        It is not there, or not that which was written.
    """
    if sha256 is not None:
        _compare(folder, NAME, sha256, model)
    lines = (folder / NAME).read_text(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def check(folder: Path, sha256: str | None, model: object) -> None:
    """Hold a folder's files against their list; what else lies there is not looked at.

    Raises
    ------
    ModelError
        One is not there, or not as it was written; see :func:`listed`.
    """
    # Registered before models had a list, or written by hand. To take the list away from one that has it opens nothing:
    # its SHA-256 stands in the table of models.
    if sha256 is None and not (folder / NAME).exists():
        return
    for name, digest in listed(folder, sha256, model).items():
        _compare(folder, name, digest, model)


def _compare(folder: Path, name: str, sha256: str, model: object) -> None:
    try:
        found = _sha256(folder / name)
    except FileNotFoundError:
        raise ModelError(f"model {model}: {name} is not there; restore it or train a new one") from None
    except OSError as error:
        raise ModelError(
            f"model {model}: {name} cannot be read ({error.strerror}); restore it or train a new one"
        ) from error
    if found != sha256:
        raise ModelError(f"model {model}: {name} is not as it was written; restore it or train a new one")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
