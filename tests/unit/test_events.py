"""Events in a file: put one by one and read on from where one stood; a place that is none is said in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared import events
from shared.errors import ConfigError


def test_a_file_is_made_and_read_on(tmp_path: Path) -> None:
    """The folder and the file are made if absent, and looking for them puts nothing."""
    bus = tmp_path / "state" / "events.jsonl"
    events.check(bus)
    assert events.read(bus, 0) == ([], 0)
    events.put(bus, "ClaimsLoaded", "motor", {"files": 1})
    names, offset = events.read(bus, 0)
    events.put(bus, "ClaimsScored", "motor", {})
    assert (names, events.read(bus, offset)[0]) == (["ClaimsLoaded"], ["ClaimsScored"])


@pytest.mark.parametrize("place", ["folder", "file/below/events.jsonl", "circle/events.jsonl", "e" * 300])
def test_a_place_that_is_no_file(tmp_path: Path, place: str) -> None:
    """It is told of when events are put, and when somebody looks whether a stage could run."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ConfigError, match=r"^CLAIMSIGHT_EVENTS: .*; name a file that can be written$"):
        events.check(tmp_path / place)
    with pytest.raises(ConfigError):
        events.put(tmp_path / place, "ClaimsLoaded", "motor", {})
