"""Who becomes champion, and back: verdicts, overrides, rollbacks, the history, and MLflow's aliases behind them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from uuid import uuid4

import mlflow
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from rich.console import Console

from deploy.local.summary import collect, show
from jobs.evaluate.history import entries, live_on, table
from jobs.evaluate.standing import override, rollback
from shared.champion import champion
from shared.database import Database
from shared.errors import ConfigError, ModelError, TransientError
from tests.factories import ROOT, finish
from tests.models_factory import FIRST, Line, line

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Claims, and an MLflow store without a model."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE promotion")
    return line(make_conninfo(postgres, dbname="promotion"), tmp_path_factory.mktemp("promotion"))


@pytest.fixture
def place(postgres: str, template: Line, tmp_path: Path) -> Iterator[Line]:
    """A line of business for one test."""
    name = f"promotion_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE promotion")  # type: ignore[arg-type]
        shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
        yield Line(make_conninfo(postgres, dbname=name), tmp_path)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def start(place: Line, *arguments: str) -> subprocess.Popen[str]:
    """Start evaluate as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "jobs.evaluate", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **place.environment(FIRST + DAY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def events(place: Line) -> list[int]:
    """Versions of which it was told that they were promoted."""
    file = place.folder / "events.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line["detail"]["model_version"] for line in lines if line["event"] == "ModelPromoted"]


def test_a_verdict_keeps_all_that_was_found(place: Line) -> None:
    """A verdict holds figures for the charts, and the importance of each feature stands in its table."""
    version = place.add_model(good=True)
    assert "promoted" in place.evaluate()
    (entry,) = place.rows("SELECT * FROM model_history")
    document = entry["metrics"]
    assert document["capacity"]["recall"]["low"] <= document["capacity"]["recall"]["value"]
    assert document["capacity"]["net"] is None  # this contract names no amount
    assert len(document["calibration"]["deciles"]) == 10
    assert 2 < len(document["curve"]) <= 100
    assert {gate["passed"] for gate in entry["gates"]} == {True}
    weights = {row["feature"]: row["value"] for row in place.rows("SELECT * FROM importance")}
    assert weights == pytest.approx(document["importance"])
    assert weights.keys() == {"amount", "age", "size"}
    assert place.aliases() == {"champion": version}


def test_a_refused_challenger_is_promoted_by_a_person_and_that_is_recorded(place: Line) -> None:
    """An override holds who, why and the red gates; score is told, and the aliases follow."""
    first = place.add_model(good=True)
    place.evaluate()
    worse = place.add_model(good=False)
    assert "refused" in place.evaluate(FIRST + DAY)
    said = place.call(override, "we trust it", "Ada", None, as_of=FIRST + DAY)
    assert said == f"model {worse} is champion, in place of model {first}"
    (entry,) = place.rows("SELECT * FROM model_history WHERE action = 'override'")
    assert (entry["actor"], entry["reason"]) == ("Ada", "we trust it")
    assert [gate["name"] for gate in entry["gates"] if not gate["passed"]]
    assert (entry["from_version"], entry["to_version"]) == (first, worse)
    assert place.aliases() == {"champion": worse, "previous_champion": first}
    assert events(place) == [first, worse]


def test_a_planted_leak_is_refused(place: Line) -> None:
    """However well it ranks, a model with a suspected leak among its features is refused, and the reason says so."""
    place.add_model(good=True)
    findings = {"findings": [{"column": "amount", "kind": "leak", "evidence": "planted"}]}
    (place.folder / "model-0" / "training.json").write_text(json.dumps(findings))
    assert "refused: suspected leaks among the features (amount) is 1" in place.evaluate()
    assert place.live() == []
    assert place.aliases() == {}


def test_without_a_champion_it_is_told_what_was_left_out(place: Line) -> None:
    """The summary and the terminal tell what spoke against columns of the refused model, as they do of a champion's."""
    place.add_model(good=False)
    found = [("paid", "leak", "planted"), ("month", "time", "tells the date")]
    findings = {"findings": [{"column": name, "kind": kind, "evidence": told} for name, kind, told in found]}
    (place.folder / "model-0" / "training.json").write_text(json.dumps(findings))
    assert "refused" in place.evaluate()
    with Database(place.url, "garage") as database:
        summary = collect(database, place.contract, FIRST, None)
        shutil.rmtree(place.folder / "model-0")
        assert collect(database, place.contract, FIRST, None)["refused"] is None
    assert summary["refused"] == {
        "model_version": 1,
        "suspected_leaks": [{"column": "paid", "evidence": "planted", "let_in": None}],
        "left_out": [{"column": "month", "evidence": "tells the date"}],
    }
    console = Console(record=True, file=StringIO())
    show(console, summary, idle=False)
    said = console.export_text()
    assert "Suspected leak paid: planted (left out)" in said
    assert "Left out month: tells the date" in said


def test_what_cannot_be_overridden(place: Line) -> None:
    """Without a refusal since, an unknown or unjudged model, the champion itself: each ends in a sentence."""
    first = place.add_model(good=True)
    waiting = place.add_model(good=True)
    with pytest.raises(ConfigError, match="name a model with --model"):
        place.call(override, "so", "Ada", None)
    with pytest.raises(ConfigError, match=f"model {waiting} has no verdict yet"):
        place.call(override, "so", "Ada", waiting)
    place.evaluate()
    (standing,) = {
        row["model_version"] for row in place.rows("SELECT * FROM model_history ORDER BY entry_id DESC LIMIT 1")
    }
    with pytest.raises(ConfigError, match="champion already"):
        place.call(override, "so", "Ada", standing)
    with pytest.raises(
        ConfigError, match=rf"there is no model 99; models judged, the newest first: {waiting}, {first}$"
    ):
        place.call(override, "so", "Ada", 99)
    assert {action for _, action, _ in place.live()} == {"judged"}
    assert first != waiting


def test_rolling_back_goes_further_each_time_and_forth_by_override(place: Line) -> None:
    """Each rollback goes one champion back, to none twice; what was rolled back returns only when someone says so."""
    versions = []
    for number in range(3):
        versions.append(place.add_model(good=True))
        place.evaluate(FIRST + number * DAY)
    one, two, three = versions
    now = FIRST + 3 * DAY
    assert place.call(rollback, "", "Ada", as_of=now) == f"model {two} is champion, in place of model {three}"
    assert place.evaluate(now) == "no challenger to judge; nothing to do"
    assert place.aliases() == {"champion": two, "previous_champion": one}
    place.call(rollback, "worse still", "Ada", as_of=now)
    way = rf"with --override REASON --model N; others judged, the newest first: {three}, {two}$"
    with pytest.raises(ConfigError, match=rf"no champion before model {one}, .*{way}"):
        place.call(rollback, "", "Ada", as_of=now)
    place.call(override, "it was the data", "Bob", three, as_of=now)
    assert place.live()[3:] == [(two, "rollback", "Ada"), (one, "rollback", "Ada"), (three, "override", "Bob")]
    reasons = [row["reason"] for row in place.rows("SELECT reason FROM model_history ORDER BY entry_id")]
    assert reasons[3:] == [f"rolled back from model {three}", "worse still", "it was the data"]
    assert events(place) == [*versions, two, one, three]
    assert place.aliases() == {"champion": three, "previous_champion": one}


def test_which_model_was_live_on_a_day(place: Line) -> None:
    """By the clock of any day the champion of that day is found, through rollbacks; the history tells the same."""
    one = place.add_model(good=True)
    place.evaluate()
    two = place.add_model(good=True, as_of=FIRST + 10 * DAY)
    place.evaluate(FIRST + 10.5 * DAY)
    place.call(rollback, "", "Ada", as_of=FIRST + 20 * DAY)
    with Database(place.url, "garage") as database:
        found = [champion(database, FIRST + days * DAY) for days in (-1, 0, 10, 10.5, 19, 20, 90)]
    assert [model and model.version for model in found] == [None, one, one, two, two, one, one]
    told = place.call(entries, as_of=FIRST + 90 * DAY)
    days = {
        day: [entry["model_version"] for entry in live_on(told, day)] for day in (date(2025, 1, 5), date(2025, 1, 11))
    }
    assert days == {date(2025, 1, 5): [one], date(2025, 1, 11): [one, two]}
    assert live_on(told, date(2024, 12, 31)) == []
    header, *lines = table(told).splitlines()
    assert header.split() == ["model", "live", "from", "until", "by", "how", "why"]
    assert [" now " in line for line in lines] == [False, False, True]


def test_the_documented_query_finds_the_champion_of_a_day(place: Line) -> None:
    """The query of the documentation says which model was live, why, and who said so."""
    page = (ROOT / "docs" / "adr" / "0009-what-a-challenger-must-show.md").read_text()
    query = page.split("```sql\n")[1].split("```")[0]
    one = place.add_model(good=True)
    place.evaluate()
    place.add_model(good=True, as_of=FIRST + 60 * DAY)
    place.evaluate(FIRST + 62 * DAY)  # the 4th of March
    (found,) = place.rows(query)
    assert (found["model_version"], found["actor"], found["action"]) == (one, "evaluate", "judged")


def test_a_decision_in_the_past_is_refused(place: Line) -> None:
    """A person cannot change what was live before the last decision, nor does a replay change what came since."""
    one = place.add_model(good=True)
    place.evaluate()
    two = place.add_model(good=True)
    place.evaluate(FIRST + 10 * DAY)
    with pytest.raises(ConfigError, match="cannot be changed"):
        place.call(rollback, "", "Ada", as_of=FIRST + 5 * DAY)
    replayed = place.add_model(good=True)
    assert "promoted" in place.evaluate(FIRST + 5 * DAY)
    with Database(place.url, "garage") as database:
        found = [champion(database, FIRST + days * DAY) for days in (0, 5, 10)]
    assert [model and model.version for model in found] == [one, replayed, two]
    assert place.aliases()["champion"] == two


def test_aliases_are_repaired_when_there_is_nothing_to_judge(place: Line) -> None:
    """Whatever was done to MLflow's aliases, the next run of evaluate sets them right."""
    first = place.add_model(good=True)
    place.evaluate()
    worse = place.add_model(good=False)
    place.evaluate()
    client = mlflow.MlflowClient(place.tracking)
    client.set_registered_model_alias("garage", "champion", str(worse))
    client.set_registered_model_alias("garage", "challenger", str(worse))
    client.set_registered_model_alias("garage", "previous_champion", str(worse))
    assert place.evaluate() == "no challenger to judge; nothing to do"
    assert place.aliases() == {"champion": first}


def test_verdicts_stand_while_mlflow_is_out_of_reach(place: Line) -> None:
    """A verdict is the database's: without MLflow it stands, the run can be tried again, and that mends the aliases."""
    version = place.add_model(good=True)
    away = {"MLFLOW_TRACKING_URI": "sqlite:////proc/nowhere/mlflow.db"}
    with pytest.raises(TransientError):
        place.evaluate(**away)
    assert place.live() == [(version, "judged", "evaluate")]
    assert events(place) == [version]
    assert "nothing to do" in place.evaluate()
    assert place.aliases() == {"champion": version}


def test_rolling_back_without_mlflow_is_done_once(place: Line) -> None:
    """A rollback that cannot tell MLflow does not fail: whoever repeated it would go back too far."""
    versions = []
    for number in range(2):
        versions.append(place.add_model(good=True))
        place.evaluate(FIRST + number * DAY)
    away = {"MLFLOW_TRACKING_URI": "sqlite:////proc/nowhere/mlflow.db"}
    assert "is champion" in place.call(rollback, "", "Ada", as_of=FIRST + DAY, **away)
    place.evaluate(FIRST + DAY)
    assert place.aliases() == {"champion": versions[0]}


def test_a_champion_whose_files_are_gone_cannot_come_back(place: Line) -> None:
    """Going back to a model that cannot be read is refused, and changes nothing."""
    for number in range(2):
        place.add_model(good=True)
        place.evaluate(FIRST + number * DAY)
    shutil.rmtree(place.folder / "model-0")
    before = place.live()
    with pytest.raises(ModelError, match="cannot be read"):
        place.call(rollback, "", "Ada", as_of=FIRST + DAY)
    assert place.live() == before


def test_a_challenger_whose_files_are_gone_keeps_no_other_waiting(place: Line) -> None:
    """The next challenger is judged; the run says what is wrong with the first."""
    place.add_model(good=True)
    second = place.add_model(good=True)
    shutil.rmtree(place.folder / "model-0")
    with pytest.raises(ModelError, match="cannot be read"):
        place.evaluate()
    assert place.live() == [(second, "judged", "evaluate")]
    assert place.aliases()["champion"] == second


def test_two_challengers_are_judged_one_after_the_other(place: Line) -> None:
    """Of two that wait, the second is held against the first, who won."""
    one, two = place.add_model(good=True), place.add_model(good=True)
    place.evaluate()
    (second,) = place.rows(f"SELECT * FROM model_history WHERE model_version = {two}")
    assert second["from_version"] == one
    assert "average precision less the champion's, lower bound" in {gate["name"] for gate in second["gates"]}


@pytest.mark.parametrize(
    "change", ["UPDATE model_history SET actor = 'me'", "DELETE FROM model_history", "TRUNCATE model_history"]
)
def test_the_history_is_append_only_for_its_owner_too(place: Line, change: str) -> None:
    """Nobody changes or deletes an entry by mistake."""
    with (
        psycopg.connect(place.url, options="-c search_path=garage") as connection,
        pytest.raises(psycopg.errors.RaiseException, match="append-only"),
    ):
        connection.execute(change)  # type: ignore[arg-type]


def test_two_at_once_cannot_both_win(place: Line) -> None:
    """Two overrides of one model at once make one entry."""
    place.add_model(good=True)
    place.evaluate()
    worse = place.add_model(good=False)
    place.evaluate()
    both = [start(place, "--override", "so", "--actor", who, "--model", str(worse)) for who in ("Ada", "Bob")]
    codes = sorted(finish(one)[0] for one in both)
    assert codes[0] == 0
    assert codes[1] in (75, 78)
    assert len(place.live()) == 2


def test_rollback_waits_for_no_evaluate_at_work(place: Line) -> None:
    """While evaluate writes, a rollback ends with 75 and changes nothing; --history answers all the same."""
    for number in range(2):
        place.add_model(good=True)
        place.evaluate(FIRST + number * DAY)
    place.add_model(good=True)
    with psycopg.connect(place.url, autocommit=True) as connection, connection.transaction():
        connection.execute("LOCK TABLE garage.model_history IN SHARE MODE")
        judging = start(place)
        with psycopg.connect(place.url, autocommit=True) as watching:
            while watching.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone() is None:
                assert judging.poll() is None
        assert finish(start(place, "--rollback", "--actor", "Ada"))[0] == 75
        looking, _ = start(place, "--history", "--on", "2025-01-01").communicate(timeout=60)
    code, _ = finish(judging)
    assert code == 0
    assert [action for _, action, _ in place.live()] == ["judged"] * 3
    assert [line.split()[0] for line in looking.splitlines()[:2]] == ["model", "1"], looking
