"""Shards of a line's claims, and the locks by which runs see each other."""

from __future__ import annotations

from itertools import product

import pytest

from shared import job
from shared.arguments import asked
from shared.database import Database
from shared.job import locks_of
from shared.shard import COUNTS, WHOLE, Shard

EVERY = [Shard(place, of) for of in COUNTS for place in range(of)]


@pytest.mark.parametrize("of", COUNTS)
def test_shards_of_a_count_divide_the_claims(of: int) -> None:
    """Each slot belongs to exactly one of them."""
    assert sorted(slot for place in range(of) for slot in Shard(place, of).slots) == list(WHOLE.slots)


def test_runs_that_may_meet_a_claim_meet_in_a_lock() -> None:
    """Whatever they divide the claims by, two shards overlap if, and only if, they have a lock in common."""
    for one, other in product(EVERY, EVERY):
        common = set(locks_of("score", "motor", one)) & set(locks_of("score", "motor", other))
        assert one.overlaps(other) == bool(common) == bool(set(one.slots) & set(other.slots))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4/4", "'4/4': the shards of 4 are 0/4 to 3/4"),
        ("x", "'x' is not I/N, such as 0/4"),
        ("-1/4", "'-1/4' is not I/N, such as 0/4"),
        ("1/3", "'1/3': claims are divided by 1, 2, 4, 8, 16, not by 3"),
        ("0/32", "'0/32': claims are divided by 1, 2, 4, 8, 16, not by 32"),
    ],
)
def test_what_is_no_shard(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that names no shard ends with 2 and one line that says what would be one."""
    with pytest.raises(SystemExit, match="2"):
        asked("score", "Score.", [], [f"--shard={text}"])
    assert capsys.readouterr().err.splitlines()[-1] == f"python -m jobs.score: argument --shard: {said}; see --help"


def test_only_stages_that_are_divided_take_a_shard(capsys: pytest.CaptureFixture[str]) -> None:
    """Score may be told a shard, and works on all claims without; no other stage knows the word."""
    assert asked("score", "Score.", [], ["--shard", "3/8"]).shard == Shard(3, 8)
    assert asked("score", "Score.", [], []).shard == WHOLE
    with pytest.raises(SystemExit, match="2"):
        asked("drift", "Drift.", [], ["--shard", "3/8"])
    assert "unrecognized arguments: --shard" in capsys.readouterr().err


def test_locks_are_taken_all_or_none(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that finds one of its slots taken gives the others back."""
    monkeypatch.setattr(job, "LOCK_ATTEMPTS", 1)
    names = [locks_of("score", "motor", shard) for shard in (Shard(5, 16), Shard(1, 4), Shard(4, 16))]
    with (
        Database(database_url, "motor") as one,
        Database(database_url, "motor") as other,
        Database(database_url, "motor") as third,
    ):
        assert job._take_locks(one, names[0])
        assert not job._take_locks(other, names[1])
        assert job._take_locks(third, names[2])
        one.release_locks()
        third.release_locks()
        assert job._take_locks(other, names[1])
