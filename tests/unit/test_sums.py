"""The list of a model's files: whatever is changed or taken away is told by its name when the model is read."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared import sums
from shared.champion import folder_of
from shared.errors import ModelError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write files such as a model has."""
    folder = tmp_path / "a model"
    (folder / "code").mkdir(parents=True)
    (folder / "model.json").write_text('{"slope": 1}')
    (folder / "peers.json").write_text("{}")
    (folder / "code" / "parts.py").write_text("")
    return folder


def test_files_as_they_were_registered(folder: Path) -> None:
    """A model that nobody touched is read, whatever lies beside its files; so is one from before there was a list."""
    assert folder_of(folder.as_uri(), None) == folder
    sha256 = sums.write(folder)
    assert sums.write(folder) == sha256
    (folder / "code" / "__pycache__").mkdir()
    (folder / "code" / "__pycache__" / "parts.pyc").write_bytes(b"\0")
    assert folder_of(folder.as_uri(), sha256) == folder_of(folder.as_uri(), None) == folder


def _listed_anew(folder: Path) -> None:
    (folder / "model.json").write_text('{"slope": -1}')
    sums.write(folder)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "model.json").write_text('{"slope":-1}'), "model.json is not as it was written"),
        (lambda folder: (folder / "peers.json").write_text(""), "peers.json is not as it was written"),
        (lambda folder: (folder / "peers.json").unlink(), "peers.json is not there"),
        (lambda folder: (folder / "code" / "parts.py").unlink(), "code/parts.py is not there"),
        (lambda folder: shutil.rmtree(folder / "code"), "code/parts.py is not there"),
        (lambda folder: (folder / "model.json").rename(folder / "code" / "model.json"), "model.json is not there"),
        (
            lambda folder: (folder / "peers.json").unlink() or (folder / "peers.json").mkdir(),
            "peers.json cannot be read",
        ),
        (lambda folder: (folder / sums.NAME).unlink(), "SHA256SUMS is not there"),
        (lambda folder: (folder / sums.NAME).write_bytes(b"\xff"), "SHA256SUMS is not as it was written"),
        (_listed_anew, "SHA256SUMS is not as it was written"),
        (shutil.rmtree, "SHA256SUMS is not there"),
    ],
)
def test_files_that_are_not_those(folder: Path, harm: Callable[[Path], object], told: str) -> None:
    """Of a file that is gone or changed, the list too, an error says in one line which it is and what to do."""
    sha256 = sums.write(folder)
    harm(folder)
    with pytest.raises(ModelError) as caught:
        folder_of(folder.as_uri(), sha256)
    assert str(caught.value).startswith(f"model {folder}: {told}")
    assert str(caught.value).endswith("; restore it or train a new one")
    assert "\n" not in str(caught.value)


def test_a_list_without_its_own_sha256(folder: Path) -> None:
    """Where nobody knows the list's SHA-256, as in MLflow, files are held against the list as it stands."""
    sums.write(folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(ModelError, match=r"model\.json is not as it was written"):
        sums.check(folder, None, folder)
