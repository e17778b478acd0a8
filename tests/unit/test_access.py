"""What a contract lets analysts see."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.score.export import COLUMNS, in_csv, in_json
from shared.access import shown_columns, shown_features
from shared.contract import Contract, load
from shared.errors import ConfigError
from shared.features import features_of
from shared.past import past_of
from tests.access_factory import GUARDED, guarded
from tests.factories import ROOT

CONTRACTS = [guarded(), *(load(path) for path in sorted((ROOT / "contracts").glob("*.toml")))]


def test_columns() -> None:
    """Shown is what is neither sensitive, personal nor ignored, nor made from a sensitive or personal column."""
    assert shown_columns(guarded()) == ["amount", "peril", "garage", "seen_on", "hurt", "odd %'$$"]


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_features(contract: Contract) -> None:
    """Each feature that a model may look at is shown if all that it is made from is, or is a count; and no other."""
    seen = {*shown_columns(contract), contract.roles.event_time}
    hidden = {*contract.known} - seen
    past = {name for name in past_of(contract) if name.split(":")[0] not in contract.roles.sensitive}
    names = shown_features(contract)
    features = {feature.name: feature for feature in features_of(contract)}
    for feature in features.values():
        assert (feature.name in names) == ({*feature.sources} <= seen | past), feature
    assert not {*names} & hidden
    assert not [name for name in names if any(f"of {column}" in name or f"from {column}" in name for column in hidden)]


def test_a_kind_that_is_hidden() -> None:
    """Where the kind of claim is hidden, so is how an amount stands beside the usual of its kind."""
    roles = guarded().roles.model_copy(update={"sensitive": ("peril",)})
    ratio = "amount, times the usual of its peril"
    assert ratio in shown_features(guarded())
    assert ratio not in shown_features(guarded().model_copy(update={"roles": roles}))


def test_an_alert_needs_an_amount(tmp_path: Path) -> None:
    """A contract with an amount to tell of and no column of it is mistaken, and the sentence says where."""
    file = tmp_path / "contract.toml"
    file.write_text(GUARDED.replace('amount = "amount"\nkind = "peril"\n', ""))
    with pytest.raises(ConfigError, match=r"line \d+: review.alert_amount: goes with roles.amount"):
        load(file)


ROW = dict.fromkeys(COLUMNS) | {"claim_id": '=cmd|"/C calc"!A0', "amount": -3.5, "reasons": [{"value": "ü"}]}


def test_a_cell_that_a_spreadsheet_would_run() -> None:
    """In CSV a text that looks like a formula is one no longer; numbers stay numbers, and JSON is left as it is."""
    words = ["+1 is\nhigh", "@SUM", "fine, as it is"]
    cells = in_csv(ROW | {"words": words})
    assert cells.startswith('"\'=cmd|""/C calc""!A0",,,,,-3.5,')
    assert cells.endswith('"\'+1 is\nhigh",\'@SUM,"fine, as it is"\n')
    assert '"claim_id": "=cmd|' in in_json(ROW | {"words": words})
    assert in_json(ROW | {"words": None}).endswith('"reasons_in_words": []}\n')


def test_the_page_says_what_psql_says() -> None:
    """Each refusal that the analysts' page explains is one that the functions give."""
    page = (ROOT / "docs" / "access.md").read_text()
    table = page.split("| psql says | because |")[1].split("## The log")[0]
    told = [line.split("`")[1].rstrip("…").rstrip("; ") for line in table.splitlines() if line.startswith("| `")]
    functions = (ROOT / "shared" / "migrations" / "line_0012.sql").read_text()
    own = [sentence for sentence in told if not sentence.startswith(("permission denied", "cannot execute"))]
    assert len(own) == 4
    for sentence in own:
        assert sentence.split(" for ")[0].split(";")[0] in functions, sentence
