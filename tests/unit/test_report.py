"""The report: complete whatever is missing, safe whatever is in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from deploy.local.report.words import UNTOLD
from deploy.local.report.write import FRONT, PAGES, write_report
from deploy.local.summary import collect
from shared.contract import Contract
from shared.database import Database

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "summary.schema.json").read_text())
AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
TRAIN_END = datetime(2024, 3, 1, tzinfo=UTC)
HEADINGS = [
    *("Headline", "Pages"),
    *("Worklist", "Scores"),
    *("Models tried", "Lift", "Bias", "Errors"),
    *("The book", "Quarantine"),
    *("Drift", "Shift of each feature", "Late outcomes", "Associations", "Sources"),
    *("What waits", "Runs", "Which model was live when"),
]
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
VOID = {"meta", "line", "rect", "circle", "polyline", "polygon"}


class Page(HTMLParser):
    """What a page holds, its tags checked for being closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.headings: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def contract(title: str = "Motor", name: str = "motor", **changes: Any) -> Contract:
    columns = {
        "number": {"dtype": "text"},
        "day": {"dtype": "date"},
        "amount": {"dtype": "number"},
        "surname": {"dtype": "text"},
        "peril": {"dtype": "category", "meaning": HOSTILE},
    }
    document = {
        "name": name,
        "title": title,
        "roles": {"id": "number", "event_time": "day", "amount": "amount", "pii": ["surname"]},
        "columns": columns,
        "derived": {"initial": {"dtype": "text", "sql": "LEFT(surname, 1)"}},
        "outcomes": {},
    }
    kept = {key: part for key, part in (document | changes).items() if part is not None}
    return Contract.model_validate(kept)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url, "motor") as database:
        database.prepare(contract())
        yield database


def page(
    database: Database, folder: Path, title: str = "Motor", as_of: datetime = AS_OF, **changes: Any
) -> tuple[str, Page]:
    """All pages of the report, one after the other."""
    told = contract(title, **changes)
    write_report(folder / "new", database, told, collect(database, told, as_of, None), as_of)
    text = "".join(pages(folder / "new", told.name).values())
    return text, Page(text)


def pages(folder: Path, line: str) -> dict[str, str]:
    """The pages of a line of business by their names, in the order of the report."""
    places = {name: folder / line / f"{name}.html" for name in PAGES} | {FRONT: folder / f"{line}.html"}
    return {name: path.read_text() for name, path in places.items() if path.exists()}


def load(database: Database, claims: int) -> None:
    """Claims, one a day, every second with an outcome, every eighth a fraud; their file, and a rejected one."""
    database.rows(
        "INSERT INTO job_runs (stage, line, shard, status, exit_code, message, as_of, git_sha, image_digest) "
        "VALUES ('etl', 'motor', '0/1', 'failed', 65, %s, %s, 'sha', 'digest')",
        [HOSTILE, AS_OF],
    )
    database.rows(
        "INSERT INTO ingest_files (uri, etag, kind, status, reason, rows_in, rows_out, quarantined, loaded_at, run_id) "
        "VALUES (%(name)s, 'a', 'claims', 'loaded', NULL, 1, 0, 1, %(as_of)s, 1), "
        "(%(name)s || '2', 'b', 'claims', 'rejected', %(name)s, 0, 0, 0, %(as_of)s, 1)",
        {"name": "file:///drop/" + HOSTILE, "as_of": AS_OF},
    )
    database.rows(
        "INSERT INTO claims_quarantine VALUES (1, 2, 'peril', %s, 'Smith raw'), "
        "(1, 3, 'number', 'repeats row 7 of the file', '')",
        ["peril: " + HOSTILE],
    )
    database.rows(
        "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, surname, peril) "
        "SELECT 'C' || n, 1, day, day, 1, n, 100 * n, 'Smith', 'fire' FROM generate_series(1, %s) n, "
        "LATERAL (SELECT timestamptz '2024-01-01' + n * interval '1 day' AS day) d",
        [claims],
    )
    database.rows(
        "INSERT INTO outcomes (claim_id, is_fraud, decided_at, known_at, source) "
        "SELECT claim_id, file_line %% 8 = 0, event_time, event_time, 'test' FROM claims WHERE file_line %% 2 = 0"
    )


def promote(database: Database, folder: Path, alias: str = "champion", value: float | None = 0.5) -> None:
    """A model, its verdict, and predictions of claims later than its training."""
    feature = {"name": "peril", "sources": ["peril"], "kind": "category", "levels": []}
    trials = [{"name": f"boosted_trees ({n})", "mean": 0.2, "average_precision": [0.1, float("nan")]} for n in (1, 2)]
    finding = {"column": "number", "kind": "leak", "evidence": HOSTILE}
    (folder / "model.json").write_text(json.dumps({"features": [feature]}))
    (folder / "training.json").write_text(
        json.dumps({"chosen": 1, "trials": trials, "findings": [finding], "left_out": [], "screened_out": [HOSTILE]})
    )
    database.rows(
        "INSERT INTO models VALUES "
        "(1, 'boosted_trees', 'snapshot', 50, %s, %s, %s, 'run', 'hash', 'sha', 'digest', %s, 1)",
        [TRAIN_END - timedelta(days=60), TRAIN_END, folder.as_uri(), AS_OF],
    )
    names = SCHEMA["$defs"]["champion"]["properties"]["metrics"]["required"]
    bins = [{"claims": 2.5, "expected": 0.3, "frauds": 0.0, "cumulative_recall": None}] * 10
    metrics = {"ranking": {name: {"value": value, "low": value, "high": value} for name in names}, "deciles": bins}
    gates = [
        {
            "name": "recall at 20 percent",
            "value": value,
            "asks": "at least",
            "limit": 0.2,
            "passed": alias == "champion",
        }
    ]
    database.rows(
        "INSERT INTO model_history (model_version, alias, actor, reason, threshold, judged_start, judged_end, metrics, "
        "gates, as_of, run_id) VALUES (1, %s, 'test', 'so it is', 0.5, %s, %s, %s, %s, %s, 1)",
        [alias, TRAIN_END, AS_OF, json.dumps(metrics), json.dumps(gates), AS_OF],
    )


def tell_more(database: Database, words: str = HOSTILE) -> None:
    """Add to the only verdict what evaluate finds out beyond the ranking; the trigger that guards it stands aside."""
    estimate = {"value": 0.5, "low": 0.4, "high": 0.6}
    tenth = {"claims": 2.5, "expected": 0.1, "actual": 0.2, "low": 0.1, "high": 0.4}
    group = {"claims": 90, "frauds": 12, "flagged_share": 0.1}
    slice_ = {"words": words, "claims": 60, "frauds": 9, "expected": 2.5, "missed": 8, "false_alarms": 1}
    kind = {"column": words, "claims": 9, "found": 1, "missed": 2, "false_alarms": 3}
    more = {
        "curve": [
            {"claims": share, "recall": share, "precision": 0.2, "false_positive_rate": share}
            for share in (0.1, 0.6, 1)
        ],
        "capacity": {
            **dict.fromkeys(("recall", "precision", "lift", "caught", "cost", "net"), estimate),
            **{"claims": 25, "flagged": 10, "frauds": 5, "amounts_unknown": 1},
        },
        "calibration": {"error": estimate, "relative": estimate, "deciles": [tenth] * 10},
        "fairness": [
            {
                "column": words,
                "by": "levels",
                "groups": [group | {"name": words, "recall": 0.3}, group | {"name": "few", "recall": None}],
                "demographic_parity": estimate,
                "equal_opportunity": None,
                "few_claims": [words],
                "few_frauds": ["few"],
            }
        ],
        "errors": {
            "slices": [slice_ | {"error": estimate}],
            "kinds": [kind | {"level": words}, kind | {"level": "b", "found": 0, "missed": 0}],
        },
    }
    database.rows("ALTER TABLE model_history DISABLE TRIGGER append_only")
    database.rows("UPDATE model_history SET metrics = metrics || %s", [json.dumps(more)])
    database.rows("ALTER TABLE model_history ENABLE TRIGGER append_only")
    database.rows("INSERT INTO slice_examples VALUES (1, 0, 'C16', 0.2, 1), (1, 0, 'C8', 0.1, 1)")


def score(database: Database) -> None:
    reasons = [
        {"feature": "peril", "value": HOSTILE, "direction": "raises", "log_odds": 0.7},
        {"feature": "days from x", "value": None, "direction": "lowers", "log_odds": -0.2},
    ]
    database.rows(
        "INSERT INTO predictions SELECT claim_id, 1, 'champion', file_line / 1000.0 + 0.45, file_line > 50, "
        "false, %s, %s, 1 FROM claims",
        [json.dumps(reasons), AS_OF],
    )
    for week in range(3):
        start = TRAIN_END + timedelta(weeks=week)
        database.rows(
            "INSERT INTO drift_metrics SELECT %s, %s, 1, feature, metric, value, value_limit, 'watch', %s, %s, 1 "
            "FROM (VALUES ('*', 'verdict', 1.0, NULL), ('peril', 'shift', 0.3, 0.2), ('*', 'roc_auc', 0.7, 0.6)) "
            "AS m (feature, metric, value, value_limit)",
            [start, start + timedelta(weeks=1), HOSTILE, AS_OF],
        )


def test_an_empty_line_has_every_section(database: Database, tmp_path: Path) -> None:
    """Where nothing was loaded, each section says so, and no model is claimed."""
    _, found = page(database, tmp_path)
    assert found.headings == HEADINGS
    assert "No model was promoted: no model was trained." in found.text
    for sentence in (
        "No claim is loaded yet.",
        "No file has arrived yet.",
        "nothing is in quarantine",
        "No stage has run yet.",
    ):
        assert sentence in found.text


@pytest.mark.parametrize("claims", [1, 2, 120])
def test_claims_without_a_model_are_shown(database: Database, tmp_path: Path, claims: int) -> None:
    """A book of any size has its counts, and sections that need a model say that there is none."""
    load(database, claims)
    _, found = page(database, tmp_path)
    assert found.headings == HEADINGS
    assert f"{claims} claims of 2024-01-02" in found.text
    assert "No claim is scored, since no model was promoted." in found.text


def test_a_refusal_names_its_gates(database: Database, tmp_path: Path) -> None:
    """Without a champion the headline says which gate refused the last model, even if its value is unknown."""
    load(database, 120)
    promote(database, tmp_path, "refused", None)
    _, found = page(database, tmp_path)
    assert (
        f"No model was promoted because recall at 20 percent is {UNTOLD}, where at least 0.200 is asked." in found.text
    )
    assert "Model 1 (refused) ranked the 25 judged claims" in found.text


@pytest.mark.parametrize("value", [0.5, None])
def test_a_champion_fills_every_section(database: Database, tmp_path: Path, value: float | None) -> None:
    """Verdict, lift, scores and drift of a champion are shown, with or without metrics."""
    load(database, 120)
    promote(database, tmp_path, value=value)
    score(database)
    _, found = page(database, tmp_path)
    assert found.headings == HEADINGS
    assert ("0.50 times as many frauds as chance" in found.text) == (value is not None)
    assert "Only the 60 claims that came after model 1's training (2024-03-01)" in found.text
    assert "odds times 2.0" in found.text
    assert "1.50" in found.text  # shift over its limit


def test_hostile_strings_stay_text(database: Database, tmp_path: Path) -> None:
    """Titles, file names, reasons, columns and values cannot become markup."""
    load(database, 120)
    promote(database, tmp_path)
    tell_more(database)
    score(database)
    text, found = page(database, tmp_path, title=HOSTILE)
    assert found.text.count(HOSTILE) >= 15
    assert not {"script", "img"} & {tag for tag, _ in found.tags}
    assert HOSTILE not in text


def test_personal_and_quarantined_values_do_not_appear(database: Database, tmp_path: Path) -> None:
    """Neither a personal column nor a quarantined row is in the page."""
    load(database, 120)
    promote(database, tmp_path)
    tell_more(database)
    score(database)
    text, _ = page(database, tmp_path)
    assert "Smith" not in text


def test_erased_rows_are_counted(database: Database, tmp_path: Path) -> None:
    """A file's rows add up on the page, those of erased claimants included."""
    load(database, 10)
    database.rows("UPDATE ingest_files SET rows_in = 3, erased = 2 WHERE file_id = 1")
    text, _ = page(database, tmp_path)
    assert "".join(f'<td class="n">{count}</td>' for count in (3, 0, 1, 2)) in text


def test_nothing_later_than_the_clock_appears(database: Database, tmp_path: Path) -> None:
    """A page as of an earlier day knows no later claim, outcome, file or model."""
    load(database, 120)
    promote(database, tmp_path)
    score(database)
    _, found = page(database, tmp_path, as_of=datetime(2024, 1, 11, tzinfo=UTC))
    assert "10 claims of 2024-01-02 to 2024-01-11" in found.text
    assert "Outcomes are known for 50\u202f% of them." in found.text
    assert "No file has arrived yet." in found.text
    assert "No model was trained" in found.text


def test_lost_model_files_cost_only_their_tables(database: Database, tmp_path: Path) -> None:
    """A page is written even if the folder of a refused model is gone."""
    load(database, 20)
    promote(database, tmp_path, "refused")
    (tmp_path / "training.json").unlink()
    _, found = page(database, tmp_path)
    assert "The model's files cannot be read on this machine" in found.text


def test_a_page_needs_nothing_else(database: Database, tmp_path: Path) -> None:
    """No address, script, frame or import; the policy lets the page's own style sheet through and nothing more."""
    load(database, 120)
    promote(database, tmp_path)
    tell_more(database)
    score(database)
    page(database, tmp_path)
    for text in pages(tmp_path / "new", "motor").values():
        found = Page(text)
        assert not re.search(r"https?:|@import|url\(", text)
        assert not {"src", "style", "onclick", "onload"} & {name for _, attributes in found.tags for name in attributes}
        style = re.search("<style>(.*)</style>", text, re.DOTALL)
        policy = next(attributes["content"] for _, attributes in found.tags if "http-equiv" in attributes)
        assert style
        assert policy is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


def test_pages_lead_to_each_other(database: Database, tmp_path: Path) -> None:
    """Every page leads to the index and to each other one, and to nothing that is not there."""
    load(database, 120)
    promote(database, tmp_path)
    score(database)
    page(database, tmp_path)
    folder = tmp_path / "new"
    written = {folder / "motor" / f"{name}.html" for name in PAGES if name != FRONT} | {folder / "motor.html"}
    for path in [*written, folder / "index.html"]:
        tags = Page(path.read_text()).tags
        places = {attributes["id"] for _, attributes in tags if "id" in attributes}
        links = {href for _, attributes in tags if (href := attributes.get("href"))}
        assert {href[1:] for href in links if href.startswith("#")} <= places
        led = {(path.parent / href).resolve() for href in links if not href.startswith("#")}
        assert led >= (written | {folder / "index.html"}) - {path, folder / "motor.html"}
        assert all(target.exists() for target in led)


def test_tables_and_charts_can_be_heard(database: Database, tmp_path: Path) -> None:
    """Every table has a caption, every heading cell a scope, every chart a name."""
    load(database, 120)
    promote(database, tmp_path)
    tell_more(database)
    score(database)
    _, found = page(database, tmp_path)
    tags: dict[str, list[dict[str, Any]]] = {}
    for tag, attributes in found.tags:
        tags.setdefault(tag, []).append(attributes)
    assert len(tags["table"]) == len(tags["caption"])
    assert all(cell.get("scope") for cell in tags["th"])
    assert all(chart["role"] == "img" and chart["aria-label"] for chart in tags["svg"])
