"""The estimate of a month's bill."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy import cost
from deploy.cost import GOAL, GOAL_STARTS, SECONDS, Item, bill, billed, compute, measured, starts
from deploy.template import load, settings
from shared.billing import PRICES
from shared.choreography import RULES, STAGES
from shared.emf import ALARMED, UNITS

REGIONS = tomllib.loads(PRICES.read_text())
DATA, JOBS = load("data"), load("jobs")


def _bill(prices: Any = REGIONS["us-east-1"], **parameters: str) -> dict[str, Item]:
    return {item.name: item for item in bill(settings("dev") | parameters, DATA, JOBS, SECONDS, prices)}


@pytest.mark.parametrize("region", REGIONS)
def test_jobs_cost_less_than_a_dollar(region: str) -> None:
    """One etl and score a day and one train, evaluate and drift a week stay below the goal, without Spot."""
    assert 0 < compute(GOAL_STARTS, SECONDS, REGIONS[region]) < GOAL


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_every_environment_has_its_prices(region: str, environment: str) -> None:
    """Each size that an environment names has a price, and nothing idle costs more than the whole."""
    items = bill(settings(environment), DATA, JOBS, SECONDS, REGIONS[region])
    assert all(0 <= item.idle <= item.usd for item in items)
    assert sum(item.usd for item in items) < float(settings(environment)["MonthlyBudget"])


def test_every_event_is_counted() -> None:
    """Each rule of the choreography has a period or an assumed number of events."""
    assert set(cost.EVENTS) == {rule.event for rule in RULES if rule.every is None}
    assert starts()["etl"] == pytest.approx(730 + 730 / 24)


def test_every_metric_is_counted() -> None:
    """Of metrics there are as many as a closing line bears, and what score and drift tell of their work."""
    own = {"score": 7, "drift": 3}  # one of score's stands twice: by line, and for all lines
    closing = len(UNITS) - sum(own.values()) + len(ALARMED)
    assert {stage: closing + own.get(stage, 0) for stage in STAGES} == cost.METRICS


def test_a_metric_costs_by_the_hour() -> None:
    """One that came in each hour costs a month's price; so few runs as train has cost next to nothing."""
    metrics = _bill(REGIONS["us-east-1"] | {"metric_month": 730.0})["metrics"].usd
    hourly = 730 * cost.METRICS["etl"]
    assert hourly < metrics < 1.5 * hourly


def test_a_short_task_is_billed_a_minute() -> None:
    """Fargate bills the start of a task too, and a minute at least."""
    assert billed(0) == billed(30) == 60
    assert billed(31) == 61


def test_tasks_by_hand() -> None:
    """An hour of one vCPU and 2 GiB costs what the page says."""
    prices = {"fargate_vcpu_hour": 0.04, "fargate_gb_hour": 0.004}
    assert compute({"etl": 1}, {"etl": 3570}, prices) == pytest.approx(0.048)


def test_another_line_of_business_doubles_the_runs() -> None:
    """Tasks are started for each line, on the same database."""
    one, two = _bill(Lines="demo"), _bill(Lines="demo,vehicle")
    assert two["tasks"].usd == pytest.approx(2 * one["tasks"].usd)
    assert two["database"] == one["database"]


def test_a_second_zone_doubles_the_database() -> None:
    """MultiAZ pays instance and disk twice."""
    one, two = _bill(MultiAZ="false"), _bill(MultiAZ="true")
    for name in ("database", "database's disk"):
        assert two[name].usd == pytest.approx(2 * one[name].usd)


def test_private_tasks_pay_by_the_hour() -> None:
    """Public tasks pay for an address while they run; private ones for endpoints, also where nothing runs."""
    public, private = _bill(TaskNetwork="public")["way to AWS"], _bill(TaskNetwork="private")["way to AWS"]
    assert public.idle == 0 < public.usd < 1
    assert private.idle == private.usd == pytest.approx(5 * 730 * REGIONS["us-east-1"]["interface_endpoint_hour"])


def _console(**parameters: str) -> dict[str, Item]:
    given = settings("dev") | parameters
    return {item.name: item for item in cost.console_bill(given, load("console"), REGIONS["us-east-1"])}


def test_a_console_closed_at_night_costs_its_load_balancer() -> None:
    """Tasks are paid for while it is open, each of them; the load balancer always, and idle but for what it carries."""
    day, always = _console(ConsoleHours="weekdays"), _console(ConsoleHours="always")
    assert day["console"].usd == pytest.approx(always["console"].usd * 12 * 5 / (7 * 24))
    assert _console(ConsoleTasks="2")["console"].usd == pytest.approx(2 * day["console"].usd)
    assert day["console"].idle == 0
    assert day["its load balancer"] == always["its load balancer"]
    assert 0 < day["its load balancer"].usd - day["its load balancer"].idle < 1


def test_a_console_by_hand() -> None:
    """An hour of its task, of its address and of its load balancer cost what the pages say."""
    prices = dict.fromkeys(REGIONS["us-east-1"], 0.0) | {"load_balancer_hour": 0.02, "public_ipv4_hour": 0.01}
    given = settings("dev") | {"ConsoleHours": "always", "ConsoleAccess": "internet-facing"}
    console, balancer, _ = cost.console_bill(given, load("console"), prices)
    assert (console.usd, balancer.usd) == (pytest.approx(7.3), pytest.approx(730 * 0.04))


@pytest.mark.parametrize("certificate", ["", "arn:aws:acm:eu-west-1:123456789012:certificate/1"])
def test_a_console_is_billed_where_there_is_one(
    certificate: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a certificate it is part of the bill; without one the estimate says what it would be."""
    monkeypatch.setattr("sys.argv", ["cost"])
    monkeypatch.setattr(cost, "settings", lambda name: settings(name) | {"ConsoleCertificate": certificate})
    cost.main()
    said = capsys.readouterr().out
    assert ("its load balancer" in said) == bool(certificate)
    assert ("A console (ConsoleCertificate) would be" in said) == (not certificate)


def test_measured_times_are_means(tmp_path: Path) -> None:
    """The last local run tells the seconds of a run; a stage that did not run, or no run at all, tells nothing."""
    summary = tmp_path / "summary.json"
    assert measured(summary) == {}
    stages = {stage: {"runs": 0, "seconds": 0} for stage in SECONDS} | {"etl": {"runs": 4, "seconds": 10.0}}
    summary.write_text(json.dumps({"stages": stages}))
    assert measured(summary) == {"etl": 2.5}


def test_a_region_without_prices_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a region has no table the message says where to add one."""
    monkeypatch.setattr("sys.argv", ["cost", "--region", "eu-north-9"])
    with pytest.raises(SystemExit, match=r"no prices for eu-north-9; add a table to shared/prices\.toml"):
        cost.main()
