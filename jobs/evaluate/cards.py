"""Copy model cards to MLflow, beside their models; the table ``model_cards`` is the truth."""

from __future__ import annotations

from shared.errors import TransientError
from shared.job import Job


def publish(job: Job) -> None:
    """Copy what MLflow has not got yet; where it cannot take it, the next run tries again, and the verdict stands."""
    waiting = job.database.rows(
        "SELECT model_version, mlflow_run_id, markdown, html FROM model_cards JOIN models USING (model_version) "
        "WHERE NOT published AND as_of <= %s ORDER BY model_version",
        [job.as_of],
    )
    if not waiting:
        return
    from shared.registry import Registry

    settings = job.settings
    try:
        registry = Registry(settings.mlflow_tracking_uri, settings.artifacts, job.contract.name)
        for card in waiting:
            texts = {f"card/model-card.{ending}": card[name] for ending, name in (("md", "markdown"), ("html", "html"))}
            registry.attach(card["mlflow_run_id"], texts)
            job.database.rows(
                "UPDATE model_cards SET published = true WHERE model_version = %s", [card["model_version"]]
            )
    except TransientError as error:
        job.log("the model card will follow with the next run of evaluate", reason=str(error))
