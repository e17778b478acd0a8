"""discover drafts a contract that a person would recognise, and that keeps the file it came from."""

from __future__ import annotations

import csv
import io
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest

from jobs.etl.discover.command import discover
from shared.contract import Contract, load
from shared.errors import ConfigError, DataError

ROOT = Path(__file__).parents[2]
Rows = Sequence[dict[str, object]]


def write(path: Path, rows: Rows, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0]], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def drafted(path: Path, folder: Path) -> tuple[Contract, str, str]:
    """The contract that discover writes, its text, and what the terminal shows."""
    shown = discover(path, "line", folder)
    target = folder / "line.toml"
    return load(target), target.read_text(encoding="utf-8"), shown


def motor(count: int = 400, **cells: object) -> Rows:
    """Claims such as most senders have them; a callable among `cells` is called for each row."""
    draw, start = random.Random(1), date(2023, 1, 1)
    return [
        {
            "claim_id": f"C{number}",
            "loss_date": start + timedelta(days=draw.randrange(600)),
            "claim_amount": draw.randrange(10, 9000),
            "peril": draw.choice(["hail", "theft"]),
            "fraud": draw.choice(["N", "N", "N", "Y"]),
        }
        | {name: cell(number) if callable(cell) else cell for name, cell in cells.items()}
        for number in range(count)
    ]


def test_vehicle_claims(real_claims: Path, tmp_path: Path) -> None:
    """Of the vehicle claims: the date from its pieces, the label as a number, the zero that is no age."""
    contract, _, shown = drafted(real_claims / "vehicle_claims_1994_1995.csv", tmp_path)
    roles = contract.roles
    assert (roles.id, roles.label, roles.amount, roles.claimant) == ("PolicyNumber", "FraudFound_P", None, None)
    assert roles.sensitive == ("Sex", "MaritalStatus", "Age", "AgeOfPolicyHolder")
    assert (roles.pii, roles.ignore) == ((), ())
    assert roles.event_time in contract.derived
    assert contract.label is not None
    assert (contract.label.fraud, contract.label.not_fraud) == (("1",), ("0",))
    assert (contract.columns["Age"].na_values, contract.columns["Age"].nullable) == (("0",), True)
    assert contract.columns["Month"].levels[:2] == ("Jan", "Feb")
    assert contract.columns["Make"].levels == ()
    assert "keep 11,337 of these 11,337" in shown


def test_auto_claims(real_claims: Path, tmp_path: Path) -> None:
    """Of the auto claims: "?" for unknown, the incident's date and not the policy's, the total, the empty column."""
    contract, _, shown = drafted(real_claims / "auto_claims_1000.csv", tmp_path)
    roles = contract.roles
    assert (roles.id, roles.event_time, roles.label) == ("policy_number", "incident_date", "fraud_reported")
    assert (roles.amount, roles.ignore) == ("total_claim_amount", ("_c39",))
    assert set(roles.pii) == {"insured_zip", "incident_location"}
    assert set(roles.sensitive) == {"age", "insured_sex", "insured_education_level"}
    assert contract.file.na_values == ("?",)
    assert contract.columns["incident_date"].format == contract.columns["policy_bind_date"].format == "%m/%d/%Y"
    assert contract.columns["umbrella_limit"].min is None
    assert contract.columns["total_claim_amount"].min == 0
    assert contract.columns["policy_state"].levels == ()
    assert "keep 1,000 of these 1,000" in shown


def test_policy_claims(real_claims: Path, tmp_path: Path) -> None:
    """Of the policy claims: names, numbers and addresses are personal; a denied claim is no fraud, but worth a word."""
    contract, text, shown = drafted(real_claims / "policy_claims" / "insurance_data.csv", tmp_path)
    roles = contract.roles
    assert (roles.id, roles.event_time, roles.amount) == ("TRANSACTION_ID", "LOSS_DT", "CLAIM_AMOUNT")
    assert (roles.claimant, roles.label) == ("CUSTOMER_ID", None)
    personal = {"CUSTOMER_ID", "POLICY_NUMBER", "CUSTOMER_NAME", "ADDRESS_LINE1", "ADDRESS_LINE2", "POSTAL_CODE"}
    assert set(roles.pii) == personal | {"SSN", "ROUTING_NUMBER", "ACCT_NUMBER"}
    assert '# label = "CLAIM_STATUS"' in text
    assert "no outcome was found" in shown


def test_who_has_a_history(tmp_path: Path) -> None:
    """What may stand in several claims is proposed as an entity, what sorts them as their kind, with the reason."""
    draw = random.Random(2)
    rows = motor(
        customer_id=lambda _: f"K{draw.randrange(300)}",
        garage_id=lambda _: f"G{draw.randrange(20)}",
        phone=lambda _: f"+999{draw.randrange(200):09}",
        vehicle_type=lambda _: draw.choice(["car", "van", "bike"]),
    )
    contract, text, shown = drafted(write(tmp_path / "claims.csv", rows), tmp_path)
    assert set(contract.roles.entities) == {"customer_id", "garage_id", "phone"}
    assert contract.roles.kind == "peril"
    assert "\"garage_id\", # may stand in several claims; its header says 'garage'" in text
    assert "entities" in shown


def test_trades_have_a_history_by_their_bare_names(tmp_path: Path) -> None:
    """A header that is only a trade's word is an entity where its cells repeat; few levels, ids and facts are none."""
    draw = random.Random(2)
    trades = ["Broker", "Vermittler", "Versicherungsmakler", "hospital", "lawyer", "Attorney", "vendor", "Gutachter"]
    trades += [
        "Sachbearbeiter",
        "Repair Shop",
        "Werkstatt",
        "Handwerker",
        "contractor",
        "clinic",
        "body_shop",
        "doctor",
    ]
    friends = ["attorney_involved", "hospital_days", "provider_specialty", "broker_fee", "clinic visits", "vendor type"]
    many = dict.fromkeys([*trades, *friends], lambda _: f"N{draw.randrange(40)}")
    few = {"pharmacy": lambda _: draw.choice("ABC"), "adjuster": lambda row: f"A{row}"}
    contract, _, _ = drafted(write(tmp_path / "claims.csv", motor(**many, **few)), tmp_path)
    of_header = {column.source or name: name for name, column in contract.columns.items()}
    assert set(contract.roles.entities) == {of_header[trade] for trade in trades}


@pytest.mark.parametrize("name", ["employee_data.csv", "vendor_data.csv"])
def test_tables_that_are_no_claims(real_claims: Path, tmp_path: Path, name: str) -> None:
    """Of agents and vendors it is said that these do not look like claims, and what they are good for."""
    contract, _, shown = drafted(real_claims / "policy_claims" / name, tmp_path)
    assert "does not look like claims" in shown
    assert "[reference]" in shown
    assert (contract.roles.id, contract.roles.event_time, contract.roles.label) == (None, None, None)


@pytest.mark.parametrize("name", ["auto_claims_1000.csv", "policy_claims/insurance_data.csv"])
def test_nothing_personal_is_shown(real_claims: Path, tmp_path: Path, name: str) -> None:
    """No cell of a personal column stands in the contract or on the terminal."""
    path = real_claims / name
    contract, text, shown = drafted(path, tmp_path)
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    words = {word.strip('",:') for word in (text + shown).split()}
    for column in contract.roles.pii:
        assert not {row[column] for row in rows if len(row[column]) > 3} & words


def test_german_claims(tmp_path: Path) -> None:
    """Latin-1, semicolons, German headers, dates and numbers: the amount is made a number by SQL."""
    rows = [
        {
            "Schadennummer": row["claim_id"],
            "Versicherungsnehmer": f"Müller {number % 90}",
            "Geburtsdatum": f"{number % 28 + 1:02d}.05.1970",
            "PLZ": f"{1000 + number:05d}",
            "Schadendatum": f"{row['loss_date']:%d.%m.%Y}",
            "Vertragsbeginn": "01.02.2019" if number % 2 else "13.02.2019",
            "Schadenhöhe": f"{number % 9 + 1}.{number:03d},50",
            "Geschlecht": "mw"[number % 2],
            "Betrug": "nein" if row["fraud"] == "N" else "ja",
        }
        for number, row in enumerate(motor())
    ]
    contract, _, shown = drafted(write(tmp_path / "x.csv", rows, "latin-1", ";"), tmp_path)
    roles = contract.roles
    assert (contract.file.delimiter, contract.file.encoding) == (";", "latin-1")
    assert (roles.id, roles.event_time, roles.label) == ("Schadennummer", "Schadendatum", "Betrug")
    assert set(roles.pii) == {"Versicherungsnehmer", "Geburtsdatum", "PLZ"}
    assert roles.sensitive == ("Geschlecht",)
    assert roles.amount in contract.derived
    assert contract.label is not None
    assert contract.label.fraud == ("ja",)
    assert "keep 400 of these 400" in shown


def test_health_claims(tmp_path: Path) -> None:
    """Of health claims: the date of service, the billed amount in dollars, the member, a sentinel for the age."""
    rows = [
        {
            "ClaimID": row["claim_id"],
            "MemberID": f"M{number % 50}",
            "PatientDOB": f"05/{number % 28 + 1:02d}/1970",
            "ServiceDate": f"{row['loss_date']:%m/%d/%Y}",
            "PaidDate": "12/28/2024" if number % 2 else "12/29/2024",
            "BilledAmount": f"${number + 1:,}.50",
            "PatientAge": 999 if number % 9 == 0 else 20 + number % 50,
            "Contact": f"a{number}@example.org",
            "IsFraud": row["fraud"] == "Y",
        }
        for number, row in enumerate(motor(1500))
    ]
    contract, _, shown = drafted(write(tmp_path / "x.csv", rows), tmp_path)
    roles = contract.roles
    assert (roles.id, roles.event_time, roles.label, roles.claimant) == (
        "ClaimID",
        "ServiceDate",
        "IsFraud",
        "MemberID",
    )
    assert set(roles.pii) == {"MemberID", "PatientDOB", "Contact"}
    assert roles.amount in contract.derived
    assert contract.columns["PatientAge"].na_values == ("999",)
    assert "keep 1,500 of these 1,500" in shown


def test_home_claims(tmp_path: Path) -> None:
    """Seconds since 1970 become the time of the event; without an outcome, that is said with the way on."""
    rows = [
        {
            "claim_id": number,
            "reported_ts": 1_640_000_000 + number * 9999,
            "claim_amount": number * 1.5,
            "lat": 48 + number,
        }
        for number in range(400)
    ]
    contract, text, shown = drafted(write(tmp_path / "x.csv", rows, delimiter="|"), tmp_path)
    assert contract.roles.event_time in contract.derived
    assert contract.derived[contract.roles.event_time].dtype == "datetime"
    assert contract.roles.pii == ("lat",)
    assert "no outcome was found" in shown
    assert "no outcome was found" in text
    assert "keep 400 of these 400" in shown


def test_a_date_in_numbers(tmp_path: Path) -> None:
    """Year, month and day of the loss become a date; those of a birth do not."""
    pieces = {"loss_year": 2023, "loss_month": lambda number: number % 12 + 1, "loss_day": 28, "birth_year": 1970}
    rows = motor(**pieces, birth_month=1, birth_day=2)
    bare = [{name: cell for name, cell in row.items() if name != "loss_date"} for row in rows]
    contract, _, _ = drafted(write(tmp_path / "x.csv", bare), tmp_path)
    assert contract.roles.event_time == "loss_date"
    assert "loss_month" in contract.derived["loss_date"].sql


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"fraud": "N"}, "one class only"),
        ({"claim_id": "C1"}, "no column names each claim"),
        ({"loss_date": ""}, "no date of the claim"),
        ({"fraud": ""}, "no outcome was found"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, cells: dict[str, object], said: str) -> None:
    """What a file lacks is said in a sentence, in the contract and on the terminal."""
    _, text, shown = drafted(write(tmp_path / "x.csv", motor(**cells)), tmp_path)
    assert said in text
    assert said in shown


def test_few_rows(tmp_path: Path) -> None:
    """Of one row a contract is drafted, too, and that it is not enough is said."""
    contract, _, shown = drafted(write(tmp_path / "x.csv", motor(1)), tmp_path)
    assert (contract.roles.id, contract.roles.event_time) == ("claim_id", "loss_date")
    assert "too few" in shown


def test_odd_headers(tmp_path: Path) -> None:
    """Headers that no column may have get a name of their own; one that another column bears is not taken twice."""
    odd = {"x" * 80: 1, "revision": 2, "^a$": 3, "b*c": 4, "b_c": 5, 'say "ü"': 6, " led ": 7, "a.b": 8}
    rows = motor(**{name: (lambda number, by=by: number % (by + 1)) for name, by in odd.items()})
    contract, _, shown = drafted(write(tmp_path / "x.csv", rows), tmp_path)
    assert set(odd) <= set(contract.sources.values())
    assert all(len(name.encode()) <= 59 for name in contract.columns)
    assert "keep 400 of these 400" in shown


def test_a_column_without_a_header(tmp_path: Path) -> None:
    """A column without a header, such as a row number, is passed over, and that is said."""
    contract, _, shown = drafted(write(tmp_path / "x.csv", motor(**{"": lambda number: number})), tmp_path)
    assert set(contract.columns) == {*motor(1)[0]}
    assert "without a header" in shown


def test_rows_that_will_be_set_aside(tmp_path: Path) -> None:
    """A few cells of another kind cost their rows, which is said with the reason; many make the column text."""
    few = motor(1000, claim_amount=lambda number: "about 70" if number == 5 else number)
    contract, _, shown = drafted(write(tmp_path / "few.csv", few), tmp_path / "few")
    assert contract.columns["claim_amount"].dtype == "integer"
    assert "keep 999 of these 1,000" in shown
    assert "claim_amount: not an integer" in shown
    many = motor(1000, claim_amount=lambda number: f"about {number}" if number % 9 == 0 else number)
    contract, _, shown = drafted(write(tmp_path / "many.csv", many), tmp_path / "many")
    assert contract.columns["claim_amount"].dtype == "text"
    assert "keep 1,000 of these 1,000" in shown


def test_an_id_that_repeats(tmp_path: Path) -> None:
    """A claim's number that repeats in a few rows is the id still, and those rows are said to be set aside."""
    rows = motor(1000, claim_id=lambda number: f"C{max(number, 3)}")
    contract, _, shown = drafted(write(tmp_path / "x.csv", rows), tmp_path)
    assert contract.roles.id == "claim_id"
    assert "claim_id: repeats an earlier row" in shown


def test_more_than_the_reject_limit(tmp_path: Path) -> None:
    """Where etl would refuse the file as a whole, that is said."""
    rows = [{"peril": "hail", "fraud": "N"}, {"peril": "theft", "fraud": "Y"}] * 50
    _, _, shown = drafted(write(tmp_path / "x.csv", rows), tmp_path)
    assert "etl would refuse the file" in shown
    assert "the whole row: repeats an earlier row" in shown


def test_a_label_written_as_money_stays_the_label(tmp_path: Path) -> None:
    """No number is made of the column that is the outcome."""
    contract, _, _ = drafted(write(tmp_path / "x.csv", motor(fraud=lambda number: f"{number % 2},0")), tmp_path)
    assert contract.roles.label == "fraud"
    assert contract.derived == {}


def test_nothing_but_an_outcome(tmp_path: Path) -> None:
    """A file of one column, the outcome, is no claims file."""
    path = write(tmp_path / "x.csv", [{"fraud": cell} for cell in "YNNN"])
    with pytest.raises(DataError, match="nothing else"):
        discover(path, "line", tmp_path)


def test_a_contract_is_never_overwritten(tmp_path: Path) -> None:
    """Where there is a contract of that name, it is left as it is."""
    path = write(tmp_path / "x.csv", motor())
    (tmp_path / "line.toml").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        discover(path, "line", tmp_path)
    assert (tmp_path / "line.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "name"),
    [("Auto Claims (2).v1.csv", "auto_claims_2"), ("2024.csv", "claims"), ("public.csv", "claims_public")],
)
def test_name_from_the_file(tmp_path: Path, file: str, name: str) -> None:
    """Without a name, the file's becomes one that Postgres takes."""
    discover(write(tmp_path / file, motor()), None, tmp_path)
    assert load(tmp_path / f"{name}.toml").name == name


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--discover", "claims.csv"], 0, "make run CONTRACT=contracts/claims.toml DATA=claims.csv"),
        (["--discover=claims.csv", "--name", "Ä"], 78, "NAME"),
        (["--discover", "nowhere.csv"], 78, "not there"),
        (["--discover", "."], 78, "a folder"),
        (["--discover", "empty.csv"], 65, "empty"),
        (["--discover"], 2, "see --help"),
    ],
)
def test_command_line(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    """The stage's command line discovers without settings and database, and ends with the exit code of the fault."""
    write(tmp_path / "claims.csv", motor())
    (tmp_path / "empty.csv").touch()
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.etl", *arguments],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
