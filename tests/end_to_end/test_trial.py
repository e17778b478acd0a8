"""A refused challenger beside the champion: its shadow scores, its arm, what `evaluate --ab` says, its promotion."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from jobs.evaluate.ab import ab
from jobs.evaluate.standing import override, rollback
from jobs.score.__main__ import work
from jobs.score.trial import Pair
from jobs.score.unscored import Done
from shared.challenger import PROOF, contender
from shared.champion import champion
from shared.database import Database
from shared.job import Job
from tests import claims_factory
from tests.factories import ROOT
from tests.models_factory import FIRST, TRAIN_END, Line, line

WEEK = timedelta(weeks=1)
WEEKS, LATER = 12, 2400
CLAIMED = claims_factory.GARAGE.replace(
    "[outcomes]\n",
    'claimant = "workshop"\nentities = ["workshop"]\namount = "amount"\npii = ["workshop"]\n[outcomes]\n',
)


@pytest.fixture(scope="module")
def template(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Claims with claimants, those of twelve weeks to come among them, and an MLflow store without a model."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE trial")
    made = line(make_conninfo(postgres, dbname="trial"), tmp_path_factory.mktemp("trial"), text=CLAIMED)
    later = claims_factory.claims(LATER, seed=9, days=7 * WEEKS).with_columns(
        claim_id="later-" + pl.col("claim_id"),
        workshop=pl.concat_str(pl.lit("person "), pl.int_range(LATER) // 2),
        event_time=pl.col("event_time") + (FIRST - claims_factory.FIRST_DAY),
        known_at=pl.col("known_at") + (FIRST - claims_factory.FIRST_DAY),
    )
    with Database(made.url, "garage") as database:
        claims_factory.store(database, made.contract, later)
    return made


@pytest.fixture
def place(postgres: str, template: Line, tmp_path: Path) -> Iterator[Line]:
    """A line of business for one test."""
    name = f"trial_{uuid4().hex[:8]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE trial")  # type: ignore[arg-type]
        shutil.copytree(template.folder, tmp_path, dirs_exist_ok=True)
        yield Line(make_conninfo(postgres, dbname=name), tmp_path)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


def settle(place: Line, extra: str = "") -> None:
    """Add keys to the contract."""
    file = place.folder / "contract.toml"
    file.write_text(f"{file.read_text()}\n{extra}\n")


def on_trial(place: Line, *, champion_is_good: bool = True) -> tuple[int, int]:
    """A champion, and a challenger that was refused for want of proof; their versions."""
    first = place.add_model(good=champion_is_good)
    if "promoted" not in place.evaluate():
        place.call(override, "there is no other", "Ada", first)
    if not champion_is_good:  # else the better one would be promoted at once
        settle(place, "")
        file = place.folder / "contract.toml"
        file.write_text(file.read_text().replace("[gates]\n", "[gates]\nmin_frauds = 5000\n"))
    second = place.add_model(good=not champion_is_good)
    assert "refused" in place.evaluate()
    return first, second


def score(place: Line, as_of: datetime = FIRST) -> str:
    return str(place.call(work, as_of=as_of, stage="score"))


def predictions(place: Line) -> pl.DataFrame:
    """All predictions, with the event and the claimant of their claim."""
    rows = place.rows(
        "SELECT claim_id, p.model_version, p.variant, p.arm, p.fraud_probability, p.flagged, p.audited, "
        "p.reasons::text, p.scored_as_of, c.event_time, c.workshop, c.amount, o.is_fraud, o.known_at "
        "FROM predictions p JOIN claims c USING (claim_id) JOIN outcomes o USING (claim_id) "
        "ORDER BY claim_id, model_version"
    )
    return pl.DataFrame(rows, infer_schema_length=None)


def test_a_refused_challenger_shadows_the_champion(place: Line) -> None:
    """It scores once what it did not learn from, of those that the champion scored; nobody is to look at it."""
    first, second = on_trial(place)
    assert f"by its challenger, model {second}" in score(place)
    found = predictions(place)
    shadow, ours = found.filter(variant="challenger"), found.filter(variant="champion")
    assert set(shadow["model_version"]) == {second}
    assert set(ours["model_version"]) == {first}
    assert set(found["arm"]) == {"champion"}
    assert set(shadow["claim_id"]) == set(ours.filter(pl.col("event_time") > TRAIN_END)["claim_id"])
    assert shadow["claim_id"].is_unique().all()
    assert shadow["reasons"].null_count() == shadow.height
    assert (ours["reasons"].is_not_null() == (ours["flagged"] | ours["audited"])).all()
    assert score(place) == "every claim is scored; nothing to do"


def test_no_shadow_where_the_contract_wants_none(place: Line) -> None:
    """With `shadow = false` and no share, the challenger scores nothing."""
    on_trial(place)
    settle(place, "[challenger]\nshadow = false")
    score(place)
    assert set(predictions(place)["variant"]) == {"champion"}


@pytest.mark.parametrize("shadow", ["true", "false"])
def test_in_its_arm_the_challenger_decides(place: Line, shadow: str) -> None:
    """Each claim has one row that decides; all claims of a claimant stand in one arm; its threshold is its own."""
    _, second = on_trial(place)
    settle(place, f"[challenger]\nshare = 0.4\nshadow = {shadow}")
    score(place, FIRST + 4 * WEEK)
    found = predictions(place)
    deciding = found.filter(pl.col("variant") == pl.col("arm"))
    assert deciding["claim_id"].is_unique().all()
    assert set(deciding["claim_id"]) == set(found["claim_id"])
    assert found.group_by("claim_id").agg(pl.col("arm").n_unique())["arm"].max() == 1
    assert found.filter(pl.col("workshop").is_null())["arm"].n_unique() == 2  # without a claimant, the claim is drawn
    assert found.drop_nulls("workshop").group_by("workshop").agg(pl.col("arm").n_unique())["arm"].max() == 1
    may_decide = (found["variant"] == "champion") | (found["arm"] == "challenger")
    assert ((found["flagged"] | found["audited"]) & may_decide).equals(found["reasons"].is_not_null())
    (threshold,) = place.rows(f"SELECT threshold FROM model_history WHERE model_version = {second}")
    ours = found.filter(variant="challenger")
    assert (ours["flagged"] == (ours["fraud_probability"] >= threshold["threshold"])).all()
    assert (set(ours["arm"]) == {"challenger"}) == (shadow == "false")


def test_claims_keep_their_arm(place: Line) -> None:
    """What the champion decided before the trial began stays its own; a run killed between both passes is made good."""
    on_trial(place)
    score(place)
    before = predictions(place).filter(variant="champion")
    settle(place, "[challenger]\nshare = 0.5")

    def killed(job: Job) -> Done:
        standing = champion(job.database, job.as_of)
        assert standing is not None
        return Pair(job, standing, contender(job.database, standing, job.as_of)).champion()

    assert place.call(killed, as_of=FIRST + WEEK, stage="score").scored > 0
    halfway = predictions(place)
    undecided = set(halfway.filter(arm="challenger")["claim_id"])
    assert undecided
    assert not undecided & set(halfway.filter(variant="challenger")["claim_id"])
    score(place, FIRST + WEEK)
    found = predictions(place)
    assert undecided <= set(found.filter(variant="challenger", arm="challenger")["claim_id"])
    assert set(found.filter(pl.col("claim_id").is_in(before["claim_id"].to_list()))["arm"]) == {"champion"}


def test_what_the_contender_scored_under_another_champion_keeps_its_arm(
    place: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever decides has a reason where somebody looks, and is in charge of its arm; the trial counts new claims."""
    first, _ = on_trial(place)
    others = [place.add_model(good=True) for _ in range(2)]
    for version in others:
        place.rows(
            "INSERT INTO model_history (model_version, alias, action, actor, reason, threshold, metrics, gates, as_of, "
            f"run_id) SELECT {version}, 'refused', action, actor, reason, threshold, metrics, gates, as_of, run_id "
            f"FROM model_history WHERE model_version = {first} AND action = 'judged'"
        )
    contender = place.add_model(good=False)
    assert "refused" in place.evaluate()
    score(place)
    shadowed = arms_of(place, contender)
    assert set(shadowed.values()) == {"champion"}
    settle(place, "[challenger]\nshare = 0.4")
    before = shadowed
    for week, version in enumerate(others, start=1):
        now = FIRST + week * WEEK
        place.call(override, "for a change", "Ada", version, as_of=now)
        score(place, now)
        assert score(place, now) == "every claim is scored; nothing to do"
        after = arms_of(place, contender)
        assert before.items() < after.items()
        assert "challenger" in (after[claim] for claim in after.keys() - before.keys())
        deciding = f"deciding_as_of('{now.isoformat()}')"
        assert place.rows(
            f"SELECT bool_and(d.variant = q.arm AND d.arm = q.arm) AS in_charge, "
            "bool_and(d.reasons IS NOT NULL) FILTER (WHERE d.flagged OR d.audited) AS told "
            f"FROM {deciding} d JOIN predictions q USING (claim_id) WHERE q.model_version = {version}"
        ) == [{"in_charge": True, "told": True}]
        capsys.readouterr()
        place.call(ab, "", as_of=now)
        tallied = [
            int(row.replace(",", "").split()[3])
            for row in capsys.readouterr().out.splitlines()
            if row.startswith(("champion, model", "challenger, model"))
        ]
        fresh = place.rows(
            "SELECT count(*) AS n FROM predictions q JOIN outcomes o USING (claim_id) "
            f"WHERE q.model_version = {version} AND o.known_at > '{now.isoformat()}' AND NOT EXISTS "
            "(SELECT FROM predictions e WHERE e.claim_id = q.claim_id AND e.run_id < q.run_id)"
        )
        assert min(tallied) > 0
        assert sum(tallied) == fresh[0]["n"]
        before = after


def arms_of(place: Line, version: int) -> dict[str, str]:
    """The arm that the row of a challenger tells, by claim."""
    rows = place.rows(
        f"SELECT claim_id, arm FROM predictions WHERE model_version = {version} AND variant = 'challenger'"
    )
    return {row["claim_id"]: row["arm"] for row in rows}


def test_a_challenger_that_was_promoted_and_rolled_back_decides_about_nothing(place: Line) -> None:
    """The champion's own rows decide again, each with its reasons, as the worklist and a claim's page tell."""
    first, second = on_trial(place)
    settle(place, "[challenger]\nshare = 0.4")
    moments = [FIRST + day * timedelta(days=1) for day in range(4)]
    score(place, moments[0])
    place.call(override, "the trial was won", "Ada", second, as_of=moments[1])
    score(place, moments[1])
    place.call(rollback, "it flags every hail claim", "Ada", as_of=moments[2])
    score(place, moments[2])
    claims = place.rows("SELECT count(*) AS n FROM claims")[0]["n"]
    wanted = [{first: 0.6, second: 0.4}, {second: 1.0}, {first: 1.0}, {first: 1.0}]
    for moment, shares in zip(moments, wanted, strict=True):
        told = [decide(place, moment), decide(place, moment, one_by_one=True)]
        assert told[0] == told[1]
        assert sum(told[0].values()) <= claims
        assert told[0].keys() == shares.keys()
        assert {version: n / sum(told[0].values()) for version, n in told[0].items()} == pytest.approx(shares, abs=0.05)
    asked = "deciding_as_of(now()) WHERE flagged OR audited"
    assert place.rows(f"SELECT bool_and(reasons IS NOT NULL) AS told FROM {asked}") == [{"told": True}]


def decide(place: Line, moment: datetime, *, one_by_one: bool = False) -> dict[int, int]:
    """How many claims each model decides about, by either function that tells it."""
    each = "claims c, deciding_for(c.claim_id, champion_as_of('{0}'), '{0}') p"
    asked = (each if one_by_one else "deciding_as_of('{0}') p").format(moment.isoformat())
    rows = place.rows(f"SELECT p.model_version, count(*) AS n FROM {asked} GROUP BY 1")
    return {row["model_version"]: row["n"] for row in rows}


def test_a_challenger_that_does_harm_decides_about_nothing(place: Line) -> None:
    """Refused for a leak too, it scores in the shadow alone, whatever the share, and `--ab` says why."""
    place.add_model(good=True)
    place.evaluate()
    place.add_model(good=True)
    findings = {"findings": [{"column": "amount", "kind": "leak", "evidence": "planted"}]}
    (place.folder / "model-1" / "training.json").write_text(json.dumps(findings))
    assert "leaks" in place.evaluate()
    settle(place, "[challenger]\nshare = 0.5")
    score(place)
    found = predictions(place)
    assert set(found["arm"]) == {"champion"}
    assert "challenger" in set(found["variant"])
    assert "refused for harm" in place.call(ab, "")


def test_an_unreadable_challenger_keeps_no_claim_waiting(place: Line, caplog: pytest.LogCaptureFixture) -> None:
    """The champion scores and decides about every claim; that the challenger cannot be read is logged."""
    on_trial(place)
    settle(place, "[challenger]\nshare = 0.5")
    shutil.rmtree(place.folder / "model-1")
    with caplog.at_level(logging.INFO):
        assert "claims scored by model 1" in score(place)
    said = [record.message for record in caplog.records]
    assert {"the challenger decides about no claim", "the challenger scores nothing"} <= set(said)
    found = predictions(place)
    assert set(found["variant"]) == set(found["arm"]) == {"champion"}


def test_every_gate_of_proof_is_one_that_evaluate_has(place: Line) -> None:
    """The names by which a want of proof is told from harm are those of the gates."""
    _, second = on_trial(place)
    (entry,) = place.rows(f"SELECT gates FROM model_history WHERE model_version = {second}")
    names = {gate["name"] for gate in entry["gates"]}
    assert names > PROOF
    assert all("leak" in name or "calibration" in name or "importance" in name or "000" in name or "megabytes" in name
               for name in names - PROOF)  # fmt: skip


@pytest.mark.parametrize("champion_is_good", [True, False])
def test_a_trial_from_its_first_week_to_its_end(
    place: Line, champion_is_good: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Looked at time and again, it goes on, and then stops for the better model; a better challenger gets promoted."""
    first, second = on_trial(place, champion_is_good=champion_is_good)
    settle(place, "[challenger]\nshare = 0.5")
    assert "has decided about no claim" in place.call(ab, "")
    told = []
    for week in range(1, WEEKS + 5, 3):
        score(place, FIRST + week * WEEK)
        told.append(place.call(ab, "", as_of=FIRST + week * WEEK))
    assert told[0].startswith("go on")
    verdicts = [text for text in told if text.startswith("stop")]
    assert verdicts, told[-1]
    better = "the champion, model 1, is better" if champion_is_good else "the challenger, model 2, finds more frauds"
    assert all(better in text for text in verdicts)
    capsys.readouterr()
    now = FIRST + week * WEEK
    place.call(ab, "", as_of=now)
    printed = capsys.readouterr().out.splitlines()
    shadow, header, *arms, sentence = printed
    assert "Side by side on" in shadow
    assert sentence == told[-1]
    assert header.split()[:2] == ["arm", "claims"]
    assert [figures(row) for row in arms] == [by_hand(place, arm, now) for arm in ("champion", "challenger")]
    if champion_is_good:
        return
    assert f"--model {second}" in verdicts[0]
    place.call(override, "the trial", "Ada", second, as_of=now)
    assert f"claims scored by model {second}" in score(place, now)
    found = predictions(place).filter(model_version=second)
    again = found.filter(variant="champion")
    assert again["claim_id"].is_unique().all()
    assert set(again["arm"]) == {"champion"}
    assert set(found.filter(variant="challenger")["claim_id"]) <= set(again["claim_id"])
    assert first != second
    assert "no trial" in place.call(ab, "", as_of=now)


def figures(row: str) -> list[float]:
    """Figures of an arm as they are printed."""
    cells = row.replace(",", "").split()[3:]
    return [float(cell) for cell in cells]


def by_hand(place: Line, arm: str, now: datetime) -> list[float]:
    """The same, counted claim by claim."""
    found = predictions(place).filter(variant=arm, arm=arm)
    settled = predictions(place).filter(variant="champion").select("claim_id", settled="scored_as_of")
    found = found.join(settled, on="claim_id").filter(pl.col("settled") > FIRST, pl.col("known_at") > pl.col("settled"))
    seen = found.filter("flagged", pl.col("known_at") <= now)
    frauds = seen.filter("is_fraud")
    return [
        found.height,
        seen.height,
        frauds.height,
        round(frauds.height / seen.height, 3),
        round(1000 * frauds.height / found.height, 2),
        round(frauds["amount"].sum() - 300 * seen.height),
    ]


def test_without_a_trial(place: Line) -> None:
    """Without a champion, a challenger or a share, one line says so, and a process that is asked ends well."""
    assert place.call(ab, "") == "no trial: there is no champion yet"
    place.add_model(good=True)
    place.evaluate()
    assert place.call(ab, "") == "no trial: no challenger was refused since"
    place.add_model(good=False)
    place.evaluate()
    process = subprocess.run(
        [sys.executable, "-m", "jobs.evaluate", "--ab"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **place.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    (closing,) = [json.loads(line) for line in (process.stdout + process.stderr).splitlines()]
    assert (process.returncode, closing["message"]) == (
        0,
        "no trial: the contract's challenger.share is 0, so model 2 decides about no claim",
    )
