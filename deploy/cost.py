"""Estimate what an environment costs a month: ``python -m deploy.cost --environment dev``, or ``make cost ENV=dev``.

Sizes and numbers are the templates', prices those of ``prices.toml``, run times those of the last local run
(``.claimsight/summary.json``), and where there was none, assumed. Free tiers are not counted.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.template import load, settings
from shared.arguments import Parser
from shared.billing import PRICES, an_hour, billed
from shared.choreography import RULES, Stage
from shared.sizes import CONSOLE, SIZES

SUMMARY = Path(".claimsight/summary.json")
MONTH = timedelta(hours=730)
"""As AWS counts."""
DAYS = MONTH / timedelta(days=1)
WEEKS = MONTH / timedelta(weeks=1)

GOAL = 1.0
"""USD a month for the compute of jobs that run as often as `GOAL_STARTS` says."""
GOAL_STARTS: Mapping[Stage, float] = {"etl": DAYS, "score": DAYS, "train": WEEKS, "evaluate": WEEKS, "drift": WEEKS}

EVENTS = {
    "Object Created": DAYS,
    "ClaimsLoaded": DAYS,
    "ModelTrained": WEEKS,
    "ModelPromoted": WEEKS,
    "RankingTrained": 0.0,
    "ClaimsScored": DAYS,
    "DriftDetected": 1.0,
    "ScoringStopped": 0.0,
    "ScoringResumed": 0.0,
    "ReleaseDeployed": WEEKS,
}
"""Assumed: a file a day, a model a week that is promoted, a drift a month that stops nothing, a release a week."""
SECONDS: Mapping[Stage, float] = {"etl": 30, "train": 600, "evaluate": 120, "score": 60, "drift": 120}
"""Assumed, where no local run has told; generous for a book of 26,000 claims."""
DROP_AND_MODELS_GB, IMAGES_GB = 5.0, 5.0
LOG_GB_A_RUN = 0.0001
METRICS: Mapping[Stage, int] = {"etl": 5, "train": 5, "evaluate": 5, "score": 12, "drift": 8}
"""Of a run, by `shared.emf`: five of each stage, and its own."""
LCU = 0.1
"""Of a load balancer's capacity unit, assumed: a team's clicks, and the claims that a system sends now and then."""
POLLS = 5 * MONTH.total_seconds() / 20
"""Lambda asks a queue with five connections, each of which waits up to 20 s."""


@dataclass(frozen=True)
class Item:
    """A line of the bill.

    Attributes
    ----------
    usd : float
        A month.
    idle : float
        Of it, what is due where no task ever runs.
    """

    name: str
    how: str
    usd: float
    idle: float = 0.0


def starts() -> dict[Stage, float]:
    """Starts a month of each stage for a line of business, by the choreography's schedules and the assumed events.

    >>> round(starts()["etl"]), round(starts()["drift"])
    (760, 4)
    """
    counted: Counter[Stage] = Counter()
    for rule in RULES:
        for stage in rule.starts:
            counted[stage] += MONTH / rule.every if rule.every else EVENTS[rule.event]  # type: ignore[assignment]
    return dict(counted)


def compute(counts: Mapping[Stage, float], seconds: Mapping[Stage, float], prices: Mapping[str, Any]) -> float:
    """USD for starting each stage so many times, none of them on Spot."""
    return sum(count * billed(seconds[stage]) / 3600 * an_hour(SIZES[stage], prices) for stage, count in counts.items())


def open_hours(parameters: Mapping[str, str]) -> float:
    """Hours a month in which the console has tasks.

    >>> open_hours({"ConsoleHours": "always"})
    730.0
    >>> round(open_hours({"ConsoleHours": "weekdays", "ConsoleOpens": "7", "ConsoleCloses": "19"}))
    261
    """
    if parameters["ConsoleHours"] == "always":
        return MONTH / timedelta(hours=1)
    return 5 * WEEKS * (int(parameters["ConsoleCloses"]) - int(parameters["ConsoleOpens"]))


def console_bill(parameters: Mapping[str, str], template: Any, prices: Mapping[str, Any]) -> list[Item]:
    """Estimate each line of what a console adds.

    Parameters
    ----------
    parameters : Mapping
        Those of the environment.
    template : dict
        That of the console.
    prices : Mapping
        The region's table of ``prices.toml``.
    """
    hours, tasks = MONTH / timedelta(hours=1), int(parameters["ConsoleTasks"])
    task_hours = tasks * open_hours(parameters)
    # One address in each zone, where it faces the internet.
    addresses = 2 if parameters["ConsoleAccess"] == "internet-facing" else 0
    balancer = hours * (prices["load_balancer_hour"] + addresses * prices["public_ipv4_hour"])
    kinds = Counter(resource["Type"] for resource in template["Resources"].values())
    kept = kinds["AWS::SecretsManager::Secret"] * prices["secret_month"]
    kept += kinds["AWS::CloudWatch::Alarm"] * prices["alarm_month"]
    return [
        Item(
            "console",
            f"{tasks} task{'s' * (tasks > 1)}, {open_hours(parameters):.0f} h a month, and a public address each",
            task_hours * (an_hour(CONSOLE, prices) + prices["public_ipv4_hour"]),
        ),
        Item(
            "its load balancer",
            f"{parameters['ConsoleAccess']}, {LCU:g} of a capacity unit assumed",
            balancer + hours * LCU * prices["lcu_hour"],
            balancer,
        ),
        Item("its secret and alarms", f"at {prices['secret_month']} and {prices['alarm_month']} USD", kept, kept),
    ]


def bill(
    parameters: Mapping[str, str], data: Any, jobs: Any, seconds: Mapping[Stage, float], prices: Mapping[str, Any]
) -> list[Item]:
    """Estimate each line, but for those of a console.

    Parameters
    ----------
    parameters : Mapping
        Those of the environment.
    data, jobs : dict
        The templates.
    seconds : Mapping
        Wall-clock seconds of a run of each stage.
    prices : Mapping
        The region's table of ``prices.toml``.

    Raises
    ------
    KeyError
        There is no price for the database's class.
    """
    lines = len(parameters["Lines"].split(","))
    hours, counts = MONTH.total_seconds() / 3600, {stage: lines * count for stage, count in starts().items()}
    runs = sum(counts.values())
    run_hours = sum(count * billed(seconds[stage]) / 3600 for stage, count in counts.items())
    kinds = Counter(resource["Type"] for template in (data, jobs) for resource in template["Resources"].values())
    zones = 2 if parameters["MultiAZ"] == "true" else 1
    endpoints = sum(
        resource["Properties"].get("VpcEndpointType") == "Interface"
        for resource in data["Resources"].values()
        if resource["Type"] == "AWS::EC2::VPCEndpoint"
    )
    private = parameters["TaskNetwork"] == "private"
    tasks = compute(counts, seconds, prices)
    metric_hours = sum(lines * min(hours, count / lines) * METRICS[stage] for stage, count in counts.items())

    def held(name: str, number: int, price: str) -> Item:
        return Item(name, f"{number} at {prices[price]} USD", number * prices[price], number * prices[price])

    database = hours * prices["rds_hour"][parameters["DatabaseClass"]] * zones
    storage = float(parameters["DatabaseStorage"]) * prices["rds_gp3_gb_month"] * zones
    way = (
        Item(
            "way to AWS",
            f"{endpoints} interface endpoints, always there (a NAT gateway: {hours * prices['nat_gateway_hour']:.2f})",
            endpoints * hours * prices["interface_endpoint_hour"],
            endpoints * hours * prices["interface_endpoint_hour"],
        )
        if private
        else Item("way to AWS", "a public address while a task runs", run_hours * prices["public_ipv4_hour"])
    )
    kept = DROP_AND_MODELS_GB * prices["s3_gb_month"]
    images = IMAGES_GB * prices["ecr_gb_month"]
    polls = POLLS / 1e6 * prices["sqs_million"]
    launches = 2 * runs  # a start and an end
    return [
        Item("tasks", f"{runs:,.0f} runs as scheduled, {run_hours:.1f} h; none on Spot", tasks),
        way,
        Item("database", f"{parameters['DatabaseClass']}, {zones} zone{'s' * (zones - 1)}", database, database),
        Item("database's disk", f"{parameters['DatabaseStorage']} GB gp3, {zones} times", storage, storage),
        held("key", kinds["AWS::KMS::Key"], "kms_key_month"),
        held("secrets", kinds["AWS::SecretsManager::Secret"], "secret_month"),
        held("alarms", kinds["AWS::CloudWatch::Alarm"], "alarm_month"),
        Item("buckets", f"{DROP_AND_MODELS_GB:g} GB assumed", kept, kept),
        Item("images", f"{IMAGES_GB:g} GB assumed", images, images),
        Item("logs", f"{LOG_GB_A_RUN * 1e6:.0f} kB a run assumed", runs * LOG_GB_A_RUN * prices["logs_gb"]),
        Item(
            "metrics",
            f"{lines * sum(METRICS.values())}, each for the hours in which it comes",
            metric_hours / hours * prices["metric_month"],
        ),
        Item("retry queue", f"{POLLS:,.0f} polls", polls, polls),
        Item(
            "launcher, events",
            f"{launches:,.0f} calls of 1 s at 256 MB",
            launches
            * (0.25 * prices["lambda_gb_second"] + (prices["lambda_million"] + prices["events_million"]) / 1e6),
        ),
    ]


def measured(summary: Path) -> dict[Stage, float]:
    """Mean seconds of a run of each stage, of a local run's summary; empty where there is none."""
    if not summary.exists():
        return {}
    stages = json.loads(summary.read_text())["stages"]
    return {stage: stages[stage]["seconds"] / stages[stage]["runs"] for stage in SIZES if stages[stage]["runs"]}


def main() -> None:
    """Print the estimate."""
    parser = Parser(prog="python -m deploy.cost", description="Estimate the bill of a month.")
    parser.add_argument("--environment", default="dev", choices=("dev", "staging", "prod"))
    parser.add_argument("--region", default="us-east-1")
    asked = parser.parse_args()
    tables = tomllib.loads(PRICES.read_text())
    if asked.region not in tables:
        sys.exit(f"no prices for {asked.region}; add a table to shared/prices.toml (there: {', '.join(tables)})")
    prices, known = tables[asked.region], measured(SUMMARY)
    seconds = {**SECONDS, **known}
    given = settings(asked.environment)
    items, pages = (
        bill(given, load("data"), load("jobs"), seconds, prices),
        console_bill(given, load("console"), prices),
    )
    wanted = bool(given["ConsoleCertificate"])
    console = Console(highlight=False)
    console.print(_table(asked.environment, asked.region, [*items, *(pages if wanted else ())]))
    if not wanted:
        more, idle = sum(item.usd for item in pages), sum(item.idle for item in pages)
        console.print(f"A console (ConsoleCertificate) would be {more:.2f} USD a month more, {idle:.2f} of it idle.")
    for stage in SIZES:
        told = "mean of the last local run" if stage in known else "assumed"
        console.print(f"  {stage}: {seconds[stage]:.1f} s a run ({told}), billed {billed(seconds[stage]):.0f} s")
    goal = compute(GOAL_STARTS, seconds, prices)
    console.print(
        f"Compute at one etl and score a day, one train, evaluate and drift a week: {goal:.2f} USD a month "
        f"(goal: under {GOAL:.0f}; {'met' if goal < GOAL else 'not met'}); on Spot from "
        f"{goal * prices['fargate_spot_share']:.2f}. No stage is always on."
    )


def _table(environment: str, region: str, items: list[Item]) -> Table:
    table = Table("", "of what", "USD a month", "of it idle", title=f"{environment}, {region}", show_footer=True)
    table.columns[0].footer = "all"
    for column, total in ((2, sum(item.usd for item in items)), (3, sum(item.idle for item in items))):
        table.columns[column].justify = "right"
        table.columns[column].footer = f"{total:.2f}"
    for item in items:
        table.add_row(item.name, item.how, f"{item.usd:.2f}", f"{item.idle:.2f}")
    return table


if __name__ == "__main__":
    main()
