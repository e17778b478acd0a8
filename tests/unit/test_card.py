"""The model card: written from data alone, the same for the same facts, safe whatever is in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from jobs.evaluate.blocks import html, markdown
from jobs.evaluate.card import MOST, Facts, card, title
from shared.contract import Contract
from shared.features import Feature

HOSTILE = "<script>alert(1)</script>\"'| [x](y) `z` *b*"
DAY = datetime(2024, 3, 1, tzinfo=UTC)
ESTIMATE = {"value": 0.5, "low": 0.4, "high": 0.6}
UNTOLD = {"value": None, "low": None, "high": None}


def facts(text: str = "peril", **metrics: Any) -> Facts:
    """Facts of a small model, in which every text that senders have a hand in is `text`."""
    document = {
        "name": "motor",
        "title": text,
        "roles": {"id": "number", "event_time": "day", "amount": "amount", "sensitive": ["sex"]},
        "columns": {
            "number": {"dtype": "text"},
            "day": {"dtype": "date"},
            "amount": {"dtype": "number", "unit": text},
            "sex": {"dtype": "category", "meaning": text},
        },
        "outcomes": {},
        "features": {"allow": {"amount": "known when the claim is made"}},
    }
    disparity = {
        "column": text,
        "by": "levels",
        "groups": [{"name": text, "claims": 90, "frauds": 9, "flagged_share": 0.1, "recall": None}],
        "demographic_parity": ESTIMATE,
        "equal_opportunity": None,
        "few_claims": [text],
        "few_frauds": [],
    }
    slice_ = {"words": f"{text} is {text}", "claims": 60, "frauds": 9, "expected": 2.5, "missed": 8, "false_alarms": 1}
    told = {
        "split": "time",
        "caveat": None,
        "ranking": {"average_precision": ESTIMATE, "lift_top_decile": ESTIMATE, "roc_auc": UNTOLD},
        "deciles": [{"claims": 9.5, "expected": 1.0, "frauds": 1.5, "cumulative_recall": 0.1}] * 10,
        "capacity": {name: ESTIMATE for name in ("recall", "precision", "lift", "caught", "cost", "net")}
        | {"claims": 95, "flagged": 10, "frauds": 15, "amounts_unknown": 0},
        "calibration": {"deciles": [{"claims": 9.5, "expected": 0.1, "actual": 0.2, "low": 0.1, "high": 0.4}] * 10},
        "fairness": [disparity],
        "importance": {"sex": 0.3},
        "errors": {
            "slices": [slice_ | {"error": ESTIMATE}],
            "kinds": [{"column": text, "level": text, "claims": 9, "found": 1, "missed": 2, "false_alarms": 3}],
        },
    }
    return Facts(
        Contract.model_validate(document),
        {
            "model_version": 3,
            "family": "boosted_trees",
            "claims": 380,
            "train_start": DAY,
            "train_end": DAY,
            "snapshot": "5a",
            "contract_hash": "",
            "git_sha": "sha",
            "image_digest": "digest",
            "mlflow_run_id": "run",
            "as_of": DAY,
            "judged_as_of": DAY,
        },
        {
            "chosen": 0,
            "trials": [{"name": text, "mean": 0.2}],
            "findings": [{"column": name, "kind": "leak", "evidence": text} for name in (text, "amount")],
            "screened_out": [text],
        },
        [Feature("sex", ("sex",), "category"), Feature(text, (text,), "number")],
        {
            "promoted": True,
            "reason": "passed all 9 gates",
            "threshold": 0.3,
            "judged_start": DAY,
            "judged_end": DAY,
            "metrics": told | metrics,
            "gates": [{"name": text, "value": None, "asks": "at least", "limit": 0.2, "passed": False}],
        },
    )


class Text(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_same_facts_give_the_same_card() -> None:
    """A card has no moment and no order of its own."""
    first, second = (markdown(title(facts()), card(facts())) for _ in range(2))
    assert first == second


def test_a_card_has_every_section() -> None:
    """Use, data, features, figures, gates, bias, errors, limits, lineage and the way back each have their place."""
    told = markdown(title(facts()), card(facts()))
    assert [line[3:] for line in told.splitlines() if line.startswith("## ")] == [
        *("Use", "Data", "Features", "Choice", "Figures", "Gates", "Bias", "Where it misses", "Limits", "Lineage"),
        "Going back",
    ]
    for said in ("0.4 to 0.6", "2024-03-01", "let in: known when", "cannot be told", "Groups too small", "digest"):
        assert said in told


def test_hostile_text_stays_text_in_html() -> None:
    """Names, levels, meanings and evidence cannot become markup."""
    page = html(title(facts(HOSTILE)), card(facts(HOSTILE)))
    assert HOSTILE not in page
    found = Text(page)
    assert "script" not in found.tags
    assert found.text.count(HOSTILE) >= 12


def test_hostile_text_stays_text_in_markdown() -> None:
    """Neither a tag, a link, code nor a table's cell comes of a name."""
    told = markdown(title(facts(HOSTILE + "\n# heading")), card(facts(HOSTILE + "\n# heading")))
    assert "<script" not in told.replace("\\<", "")
    assert "\n# heading" not in told
    for line in told.splitlines():
        assert "[x](" not in line
    widths = {line.replace("\\|", "").count("|") for line in told.splitlines() if "alert" in line and line[0] == "|"}
    assert widths <= {4, 5, 6, 7, 8}


def test_the_page_runs_nothing() -> None:
    """Its policy lets its own style through and nothing more, and it needs no other file."""
    page = html(title(facts()), card(facts()))
    assert "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize(
    "metrics",
    [
        {"ranking": {}, "deciles": [], "capacity": None, "calibration": None, "fairness": [], "errors": None},
        {"caveat": "optimistic", "split": "random"},
        {"errors": {"slices": [], "kinds": []}, "importance": {}},
    ],
)
def test_whatever_is_missing(metrics: dict[str, Any]) -> None:
    """A model judged on no claims, at random, or without slices has its card all the same."""
    told = markdown("card", card(facts(**metrics)))
    assert ("optimistic" in told) == ("caveat" in metrics)
    if "errors" in metrics:
        assert "No kind of claim was found" in told


def test_long_tables_are_cut() -> None:
    """Of hundreds of features the first are told, and how many more there are."""
    many = [Feature(f"x{place}", ("sex",), "number") for place in range(MOST + 7)]
    told = markdown("card", card(replace(facts(), features=many)))
    assert "And 7 more." in told
