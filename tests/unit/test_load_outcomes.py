"""Loading decisions: the last word on each counts, wherever and however often it is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.etl.load import Loaded
from jobs.etl.requeue import requeue
from shared.database import Database
from tests.etl_factory import Etl, decisions
from tests.factories import CLAIM, OUTCOMES, claims, contract, csv_text, emptied, with_outcomes


@pytest.fixture
def database_url(postgres: str) -> str:
    """Empty this module's database; its connection string."""
    return emptied(postgres, "test_load_outcomes")


@pytest.fixture
def late(tmp_path: Path, database_url: str) -> Iterator[Etl]:
    """Set up a line whose outcomes come in files of their own."""
    with Database(database_url, "motor") as database:
        yield Etl(tmp_path, database, with_outcomes(file={"reject_limit": 0.5}), database_url)


def test_outcomes(late: Etl) -> None:
    """Outcomes are appended, each decision once, wherever it comes from."""
    assert late.load("a.csv", decisions({}, {}, {"claim": "c2"}), "outcomes").quarantined == 1
    late.database.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) "
        "VALUES ('c3', true, '2024-03-01', '2024-03-02', 'court')"
    )
    assert late.load("b.csv", decisions({}, {"claim": "c3"}, {"claim": "c4"}), "outcomes") == Loaded(3, 1, 2, None)
    reasons = [reason for _, reason in late.quarantine()]
    assert reasons[1:] == ["already loaded from motor/outcomes/a.csv", "already loaded from the console"]


def _said(verdict: str) -> str:
    """Write what a file says of one decision."""
    return decisions(*({"verdict": letter} for letter in verdict))


def _stands(etl: Etl) -> list[tuple[Any, ...]]:
    return etl.rows("SELECT is_fraud FROM outcomes_as_of('2024-06-01') WHERE claim_id = 'c1'")


@pytest.mark.parametrize("names", ["abc", "aaa", "abb", "aab"])
def test_a_decision_is_set_back(late: Etl, names: str) -> None:
    """What the last file says of a decision holds, also where an earlier one said the same before a correction."""
    for name, verdict in zip(names, "NYN", strict=True):
        assert late.load(f"{name}.csv", _said(verdict), "outcomes") == Loaded(1, 1, 0, None)
        assert _stands(late) == [(verdict == "Y",)]
    assert late.load("again.csv", _said("N"), "outcomes") == Loaded(1, 0, 1, None)
    assert late.rows("SELECT is_fraud FROM outcomes ORDER BY outcome_id") == [(False,), (True,), (False,)]


def test_saying_the_same_again_does_not_undo_a_correction(late: Etl) -> None:
    """A file that grows says again what another has corrected since; as for claims, the correction stands."""
    late.load("a.csv", _said("N"), "outcomes")
    late.load("b.csv", _said("Y"), "outcomes")
    grown = decisions({"verdict": "N"}, {"claim": "c2"})
    for _ in range(2):
        assert late.load("a.csv", grown, "outcomes") == Loaded(2, 2, 0, None)
        assert _stands(late) == [(True,)]
        grown += "\n"
    assert late.rows("SELECT count(*) FROM outcomes") == [(3,)]
    # Once it has said something else in between, it is a decision set back.
    assert late.load("a.csv", _said("Y"), "outcomes") == Loaded(1, 0, 1, None)
    assert late.load("a.csv", _said("N"), "outcomes") == Loaded(1, 1, 0, None)
    assert _stands(late) == [(False,)]


def test_a_decision_told_several_times_in_one_file(late: Etl) -> None:
    """The last row counts and the others break nothing; the same under another name changes nothing."""
    assert late.load("a.csv", _said("NYYN"), "outcomes") == Loaded(4, 1, 3, None)
    assert late.quarantine() == [(line, "corrected by a later row of the file") for line in (2, 3, 4)]
    assert late.load("b.csv", _said("NYYN"), "outcomes").rows_out == 0
    assert late.rows("SELECT is_fraud, file_line FROM outcomes") == [(False, 5)]
    assert late.load("c.csv", _said("NY"), "outcomes").rows_out == 1
    assert _stands(late) == [(True,)]


IMPOSSIBLE = (
    {"claim": "c1", "decided": "2999-01-01", "known": "2999-01-02"},
    {"claim": "c2", "known": "2999-01-02"},
    {"claim": "c3", "decided": "1970-01-01"},
    {"claim": "c4", "decided": "2024-02-01T23:59:59Z"},
)


def test_dates_that_cannot_be(late: Etl) -> None:
    """What is decided in the future or before its claim's event is set aside with that reason, and tried again."""
    late.load("a.csv", csv_text(claims(6)))
    possible = ({"claim": "c5", "decided": "2024-02-02"}, {"claim": "unknown", "decided": "1970-01-01"})
    sound = [{"claim": f"more{number}"} for number in range(4)]
    assert late.load("a.csv", decisions(*IMPOSSIBLE, *possible, *sound), "outcomes") == Loaded(10, 6, 4, None)
    early = "decided_at: lies before the event of the claim"
    assert late.quarantine() == [
        (2, "decided_at: lies in the future; known_at: lies in the future"),
        (3, "known_at: lies in the future"),
        (4, early),
        (5, early),
    ]
    # One event was wrong, and the day comes for what lay in the future.
    late.load("b.csv", csv_text([CLAIM | {"claim": "c3", "lost_on": "1969-12-31"}]))
    requeue(late.job)
    assert [line for line, _ in late.quarantine()] == [2, 3, 5]
    late.at(datetime(2999, 1, 2, tzinfo=UTC))
    requeue(late.job)
    assert late.quarantine() == [(5, early)]
    assert late.rows("SELECT count(*) FROM outcomes") == [(9,)]


def test_a_rejected_file_tells_of_its_dates(late: Etl) -> None:
    """Rows of a file over the reject limit are set aside each with its own reason."""
    assert late.load("a.csv", decisions(IMPOSSIBLE[0], IMPOSSIBLE[1], {}), "outcomes").rows_out == 0
    reasons = [reason for _, reason in late.quarantine()]
    assert ["future" in reason for reason in reasons] == [True, True, False]


def test_a_replay_loads_what_was_decided_later(late: Etl) -> None:
    """Its clock is set back: what lies after that, and not after the real one, is there once the clock has come on."""
    decided = {"decided": "2025-02-01", "known": "2025-02-02"}
    assert late.load("a.csv", decisions(decided), "outcomes") == Loaded(1, 1, 0, None)
    for moment, told in (("2025-02-01", 0), ("2025-02-02", 1)):
        assert late.rows(f"SELECT count(*) FROM outcomes_as_of('{moment}')") == [(told,)]


def test_a_clock_that_is_ahead(late: Etl) -> None:
    """A generated book may lie after the real clock; then that of the run counts."""
    late.at(datetime(2998, 1, 1, tzinfo=UTC))
    rows = ({"decided": day, "known": day} for day in ("2997-12-31", "2998-01-01", "2998-01-04"))
    assert late.load("a.csv", decisions(*rows), "outcomes") == Loaded(3, 2, 1, None)


def test_decisions_of_claims_without_a_date(tmp_path: Path, database_url: str) -> None:
    """Where no column dates claims, their event is when they were loaded, and decisions may lie before it."""
    undated = {"label": None, "event_time": None}
    with Database(database_url, "motor") as database:
        given = contract(roles=undated, label=None, outcomes=OUTCOMES, columns={"fraud": None})
        etl = Etl(tmp_path, database, given, database_url)
        etl.load("a.csv", csv_text(claims(1)))
        assert etl.load("a.csv", decisions({}), "outcomes") == Loaded(1, 1, 0, None)


def test_outcomes_are_never_withdrawn(late: Etl) -> None:
    """An outcome that its file leaves out and then tells again is still the one that stood."""
    for rows in (({}, {"claim": "c2"}), ({"claim": "c2"},), ({}, {"claim": "c2"})):
        assert late.load("a.csv", decisions(*rows), "outcomes") == Loaded(len(rows), len(rows), 0, None)
    assert late.rows("SELECT claim_id FROM outcomes ORDER BY 1") == [("c1",), ("c2",)]
