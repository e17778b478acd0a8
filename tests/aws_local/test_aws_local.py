"""What happens on AWS, in the order in which it happened: each test goes on from where the one before left off."""

from __future__ import annotations

from functools import partial

import polars as pl
import pytest

from deploy.local.aws import PREFIX
from deploy.rollout.account import RolloutError
from shared.choreography import STAGES, Stage
from tests import claims_factory
from tests.aws_local.conftest import LINE, Cloud, Images, tags_of, until

CLAIMS = 1400
BOOK = claims_factory.claims(CLAIMS + 100, seed=2)


def claims_csv(start: int, count: int) -> str:
    """Some claims of the book, as their sender writes them."""
    rows = BOOK.slice(start, count).drop("revision", "is_fraud", "known_at")
    return rows.with_columns(pl.col("event_time").dt.date()).write_csv()


def outcomes_csv(start: int, count: int) -> str:
    verdict = pl.when("is_fraud").then(pl.lit("Y")).otherwise(pl.lit("N"))
    decided = pl.col("known_at").dt.date()
    return BOOK.slice(start, count).select("claim_id", is_fraud=verdict, decided_at=decided).write_csv()


def test_a_release_starts_train(cloud: Cloud) -> None:
    """The first release's rehearsal made tables and logins, and the release started train, which found no claims."""
    until(lambda: cloud.exit_codes("train", event="ReleaseDeployed") == [0])
    assert cloud.told() == []
    logins = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'claimsight%login' AND rolcanlogin"
    assert cloud.one(logins) == len(STAGES) + 2  # MLflow's server and the console


def test_an_object_starts_etl_and_then_score(cloud: Cloud) -> None:
    """Objects in the drop start etl, whose event starts score; one that came while etl was at work is loaded too."""
    cloud.put("claims/book.csv", claims_csv(0, CLAIMS))
    cloud.put("outcomes/book.csv", outcomes_csv(0, CLAIMS))
    until(lambda: cloud.rows("SELECT count(*) FROM demo.outcomes") == [(CLAIMS,)])
    until(lambda: 0 in cloud.exit_codes("score", event="ClaimsLoaded"))
    cloud.settle()
    assert cloud.one("SELECT count(*) FROM demo.claims") == CLAIMS
    assert {code for _, code in cloud.runs("etl")} == {0}
    assert any(record["message"] == "no champion yet; nothing scored" for record in cloud.log("score"))
    assert all(record.get("stage") == "etl" for record in cloud.log("etl"))


def test_a_schedule_leads_to_a_champion_and_predictions(cloud: Cloud) -> None:
    """A schedule starts train, its event evaluate, which promotes, and that event score: with files of models in S3."""
    cloud.fire("weekly-training")
    until(lambda: cloud.one("SELECT count(*) FROM demo.predictions") == CLAIMS)
    cloud.settle()
    assert cloud.rows("SELECT alias FROM demo.model_history") == [("champion",)]
    starts: list[tuple[Stage, str]] = [
        ("train", "WeeklyTraining"),
        ("evaluate", "ModelTrained"),
        ("score", "ModelPromoted"),
    ]
    for stage, event in starts:
        assert cloud.exit_codes(stage, event=event) == [0]
    assert cloud.one("SELECT artifact_uri FROM demo.models").startswith(
        f"s3://{cloud.output('ArtifactBucket')}/models/"
    )


def test_a_doubled_event_starts_one_task(cloud: Cloud) -> None:
    """An event that comes twice starts one task, also when the first has ended."""
    for _ in range(2):
        cloud.launch("ClaimsLoaded", "doubled")
    until(lambda: cloud.exit_codes("score", cause="doubled") == [0])
    cloud.launch("ClaimsLoaded", "doubled")
    cloud.settle()
    assert cloud.exit_codes("score", cause="doubled") == [0]


def test_an_overlapping_event_is_held_and_caught_up(cloud: Cloud) -> None:
    """While etl is at work a second object starts no other; when it ended, one run follows and loads that as well."""
    before = len(cloud.tasks("etl"))
    with cloud.locked("demo.claims"):
        cloud.put("claims/one.csv", claims_csv(CLAIMS, 10))
        cloud.waiting("etl")
        cloud.put("claims/two.csv", claims_csv(CLAIMS + 10, 10))
        until(lambda: "held" in tags_of(cloud.tasks("etl")[-1]))
        assert len(cloud.tasks("etl")) == before + 1
    until(lambda: cloud.exit_codes("etl", event="Held")[-1:] == [0])
    cloud.settle()
    assert cloud.one("SELECT count(*) FROM demo.claims") == CLAIMS + 20
    assert not any("another etl" in record["message"] for record in cloud.log("etl"))


def test_a_killed_task_is_started_again_once_and_then_told_of(cloud: Cloud) -> None:
    """Killed, a task is started again in silence; killed again, it is told of once, with its stage and the sentence."""
    with cloud.locked("demo.claims"):
        cloud.put("claims/three.csv", claims_csv(CLAIMS + 20, 10))
        for attempt in ("0", "1"):
            task = cloud.waiting("etl", attempt=attempt)
            assert cloud.told() == []
            cloud.container(task).kill()
            until(partial(cloud.stopped, task))
        until(cloud.told)
    cloud.settle()
    (told,) = cloud.told()
    assert told.startswith("etl of demo was killed from outside")
    assert "exit code 137" in told
    assert [code for _, code in cloud.runs("etl")].count(None) <= 1


def test_a_stopped_task_is_started_again_in_silence(cloud: Cloud) -> None:
    """Stopped politely, as for a deployment, a task ends with 143 and is started again; nobody is told."""
    with cloud.locked("demo.claims"):
        cloud.launch("HourlyIngest", "to be stopped")
        task = cloud.waiting("etl")
        cloud.aws.client("ecs").stop_task(cluster=PREFIX, task=task["taskArn"], reason="a deployment")
    until(lambda: cloud.one("SELECT count(*) FROM demo.claims") == CLAIMS + 30)
    cloud.settle()
    assert cloud.runs("etl")[-2:] == [("stopped", 143), ("done", 0)]
    assert len(cloud.told()) == 1


def test_what_may_pass_is_tried_again_later(cloud: Cloud) -> None:
    """A run that ends with 75 lies in the queue for 60 s before it is tried again; nobody is told."""
    with cloud.locked("demo.claims"):
        cloud.put("claims/four.csv", claims_csv(CLAIMS + 30, 10))
        task = cloud.waiting("etl")
        assert cloud.rows("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'")
        until(partial(cloud.stopped, task))
    queue, sqs = cloud.output("RetryQueue", "jobs"), cloud.aws.client("sqs")
    delayed = "ApproximateNumberOfMessagesDelayed"
    until(lambda: sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[delayed])["Attributes"][delayed] == "1")
    assert cloud.exit_codes("etl")[-1] == 75
    sqs.purge_queue(QueueUrl=queue)
    assert len(cloud.told()) == 1


def test_a_bad_file_is_told_of_once(cloud: Cloud) -> None:
    """A file beyond the reject limit ends etl with 65: its rows are in quarantine, and one notification says so."""
    cloud.put("claims/bad.csv", claims_csv(CLAIMS + 40, 20).replace("2024-", "no date "))
    until(lambda: len(cloud.told()) == 2)
    cloud.settle()
    assert 65 in cloud.exit_codes("etl")
    assert cloud.one("SELECT count(*) FROM demo.claims_quarantine") == 20
    (told,) = (text for text in cloud.told() if "exit code 65" in text)
    assert told.startswith("etl of demo refused input that breaks the contract")


def test_a_lost_event_is_made_up_for_by_the_daily_sweep(cloud: Cloud) -> None:
    """Claims whose event was lost stay unscored until the daily sweep, which scores them."""
    rules = cloud.aws.client("events")
    rules.disable_rule(Name=f"{PREFIX}-stages", EventBusName=PREFIX)
    cloud.put("claims/five.csv", claims_csv(CLAIMS + 60, 10))
    loaded = "SELECT count(*) FROM demo.ingest_files WHERE uri = 'demo/claims/five.csv' AND status = 'loaded'"
    until(lambda: cloud.one(loaded) == 1)
    cloud.settle()
    unscored = "SELECT count(*) FROM demo.claims WHERE claim_id NOT IN (SELECT claim_id FROM demo.predictions)"
    assert cloud.one(unscored) >= 10
    rules.enable_rule(Name=f"{PREFIX}-stages", EventBusName=PREFIX)
    cloud.fire("daily-sweep")
    until(lambda: cloud.one(unscored) == 0)
    cloud.settle()


def test_a_rollback_runs_the_old_images(cloud: Cloud, images: Images) -> None:
    """After a release the next task runs its image; after a rollback the one of the release before, by its digest."""

    def score(cause: str) -> str:
        cloud.settle()
        before = len(cloud.runs("score"))
        cloud.launch("ClaimsLoaded", cause)
        until(lambda: cloud.runs("score")[before:] == [("done", 0)])
        query = "SELECT image_digest FROM claimsight.job_runs WHERE stage = 'score' ORDER BY run_id DESC LIMIT 1"
        return str(cloud.one(query))

    first = score("before the release")
    cloud.aws.release("better", {stage: images(stage, LINE + "# mended") for stage in STAGES})
    better = score("after the release")
    cloud.aws.rollback()
    assert score("after the rollback") == first != better
    assert first.startswith("sha256:")


def test_a_bad_release_fails_its_rehearsal(cloud: Cloud, images: Images) -> None:
    """A release whose contract is malformed in one image is refused by its rehearsal, which names stage and reason."""
    broken = {stage: images(stage, LINE if stage != "score" else "name = 1") for stage in STAGES}
    with pytest.raises(RolloutError) as caught:
        cloud.aws.release("broken", broken)
    _, problem = caught.value.args
    assert problem.startswith("score of demo: found settings or a contract missing or malformed")


def test_an_image_that_cannot_start_is_told_of_once(cloud: Cloud) -> None:
    """A task whose image is gone never started; it has no exit code, and one notification says so."""
    cloud.settle()
    cloud.lose_image("drift")
    before = len(cloud.told())
    cloud.fire("weekly-drift")
    until(lambda: len(cloud.told()) > before)
    cloud.settle()
    (told,) = cloud.told()[before:]
    assert told.startswith("drift of demo never started")
    assert "no exit code" in told
