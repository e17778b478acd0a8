"""The contract: what it accepts, and that it names all that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.contract import Contract, load
from shared.errors import ConfigError
from shared.features import features_of
from shared.past import past_of
from tests.factories import MOTOR, ROOT


def _problems(folder: Path, text: str | bytes) -> tuple[str, ...]:
    path = folder / "contract.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert all("\n" not in problem for problem in raised.value.problems)
    return raised.value.problems


@pytest.mark.parametrize("path", sorted((ROOT / "contracts").glob("*.toml")), ids=lambda path: path.stem)
def test_contracts_of_the_repository(path: Path) -> None:
    """Each contract of the repository is right, and its name is its file's."""
    assert load(path).name == path.stem


def test_identity(tmp_path: Path) -> None:
    """The same bytes have the same hash, other bytes another."""
    hashes = set()
    for text in (MOTOR, MOTOR, MOTOR + "# more\n"):
        (tmp_path / "contract.toml").write_text(text)
        hashes.add(load(tmp_path / "contract.toml").hash)
    assert len(hashes) == 2


def test_label_is_not_stored(tmp_path: Path) -> None:
    """Claims keep every column but the label, which is an outcome."""
    (tmp_path / "contract.toml").write_text(MOTOR)
    contract = load(tmp_path / "contract.toml")
    assert set(contract.columns) - set(contract.stored) == {"fraud"}


@pytest.mark.parametrize("text", ["name = ", "a = 1\na = 2", b"\xff\xfe", MOTOR + "[roles]\n"])
def test_no_toml(tmp_path: Path, text: str | bytes) -> None:
    """A file that is no TOML is one sentence that names it."""
    (problem,) = _problems(tmp_path, text)
    assert "contract.toml: not TOML" in problem


def test_no_file(tmp_path: Path) -> None:
    """A contract that is not there, or is a folder, is one sentence."""
    for path in (tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(ConfigError, match="name an existing TOML file"):
            load(path)


def test_all_malformed_values_at_once(tmp_path: Path) -> None:
    """Every malformed value is named, with its key."""
    text = MOTOR.replace('dtype = "date"', 'dtype = "day"').replace('"motor"', '"Motor Claims"')
    problems = _problems(tmp_path, text + "[gates]\nmin_frauds = 0\nmax_frauds = 1\n[file]\ndelimiter = '§'\n")
    for key in ("name:", "columns.lost_on.dtype:", "gates.min_frauds:", "gates.max_frauds:", "file.delimiter:"):
        assert any(key in problem for problem in problems), key


def test_all_contradictions_at_once(tmp_path: Path) -> None:
    """Every contradiction between the parts is named, each in a sentence of its own."""
    text = MOTOR.replace('id = "claim"', 'id = "klaim"\namount = "peril"\nclaimant = "note"\npii = ["nobody"]')
    text = text.replace('not_fraud = ["N"]', 'not_fraud = ["N", "Y"]').replace("min = 0, max = 1e6", "min = 2, max = 1")
    text = text.replace('"integer", nullable', '"integer", levels = ["1"], nullable')
    text += 'file_id = { dtype = "text" }\n[derived]\ncount = { dtype = "date", sql = "nope(" }\n'
    text += "total = { dtype = 'number', sql = 'SUM(amount)' }\nleak = { dtype = 'text', sql = 'fraud' }\n"
    text += "gone = { dtype = 'text', sql = 'elsewhere' }\n"
    problems = _problems(tmp_path, text)
    for words in (
        "line 5: roles.id: no column 'klaim'; did you mean 'claim'?",
        "roles.pii: no column 'nobody'",
        "roles.amount: 'peril' must be an integer or a number",
        "roles.claimant: 'note' must be a column of the claims file that pii names",
        "label.fraud: 'Y' means both fraud and not fraud",
        "columns.amount.min: is above max",
        "columns.count.levels: only for category and text",
        "columns.file_id: the name is Claimsight's own",
        "derived.count: the name is taken",
        "derived.count.sql: ",
        "derived.total.sql: must give one value a row",
        "derived.leak.sql: reads the label 'fraud'",
        "derived.gone.sql: no column 'elsewhere'",
    ):
        assert any(words in problem for problem in problems), (words, problems)


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        ('entities = ["nobody"]', "roles.entities: no column 'nobody'"),
        ('entities = ["claim"]', "roles.entities: 'claim' is the id"),
        ('entities = ["fraud"]', "roles.entities: 'fraud' is the label"),
        (
            'entities = ["miles"]',
            "roles.entities: 'miles' must be a category, a text, or a whole number without a unit",
        ),
        ('entities = ["lost_on"]', "roles.entities: 'lost_on' must be a category"),
        ('entities = ["note", "note"]', "roles.entities: 'note' stands there twice"),
        ('kind = "peril"', "roles.kind: goes with roles.amount"),
        ('kind = "amount"\namount = "amount"', "roles.kind: 'amount' must be a category"),
        ('kind = "perils"\namount = "amount"', "roles.kind: no column 'perils'; did you mean 'peril'?"),
    ],
)
def test_what_has_no_history(tmp_path: Path, roles: str, says: str) -> None:
    """What cannot name who takes part in claims, or sort them, is one line."""
    text = MOTOR.replace('label = "fraud"', f'label = "fraud"\n{roles}')
    (problem,) = _problems(tmp_path, text + 'miles = { dtype = "integer", unit = "miles" }\n')
    assert says in problem


def test_any_feature_may_be_let_in(tmp_path: Path) -> None:
    """Train may suspect a column, or what it makes of several; each can be let in by its name, and no other."""
    roles = 'label = "fraud"\namount = "amount"\nkind = "peril"\nentities = ["note"]'
    text = MOTOR.replace('label = "fraud"', roles).replace("[columns]", "[features]\nallow = { {} }\n\n[columns]")
    why = ' = "we know better"'

    def allowing(*names: str) -> str:
        return text.replace("{}", ", ".join(f'"{name}"{why}' for name in names))

    (tmp_path / "contract.toml").write_text(allowing("count"))
    offered = [feature.name for feature in features_of(load(tmp_path / "contract.toml"))]
    assert {"days from seen_at", "weekday of lost_on", "amount, times the usual of its peril"} < {*offered}
    (tmp_path / "contract.toml").write_text(allowing(*offered))
    assert list(load(tmp_path / "contract.toml").features.allow) == offered
    (problem,) = _problems(tmp_path, allowing("weekday of lost_at"))
    assert "no column or feature 'weekday of lost_at'; did you mean 'weekday of lost_on'?" in problem


def test_sql_that_is_none_is_told_beside_other_mistakes(tmp_path: Path) -> None:
    """Also where what a derived column reads decides about it: whether it is personal, or may be let in."""
    text = MOTOR.replace('label = "fraud"', 'label = "fraud"\npii = ["note"]\nentities = ["note"]\nclaimant = "note"')
    text = text.replace("[columns]", '[features]\nallow = { nothing = "we know better" }\n\n[columns]')
    told = _problems(tmp_path, text + '\n[derived]\nodd = { dtype = "number", sql = "amount ++ ((" }\n')
    assert any("derived.odd.sql: unable to parse" in problem for problem in told)
    assert any("no column or feature 'nothing'" in problem for problem in told)


def test_names_of_the_past_are_taken(tmp_path: Path) -> None:
    """A column that has the name of what is told of the past is one line; personal and ignored ones may have a past."""
    text = MOTOR.replace(
        'label = "fraud"', 'label = "fraud"\nentities = ["note", "count"]\npii = ["note"]\nignore = ["count"]'
    )
    (tmp_path / "contract.toml").write_text(text)
    name = next(iter(past_of(load(tmp_path / "contract.toml"))))
    (problem,) = _problems(tmp_path, text + f'"{name}" = {{ dtype = "integer" }}\n')
    assert "is that of what is told of the past" in problem


@pytest.mark.parametrize("name", ["claimsight", "pg_claims", "information_schema", "public"])
def test_schemas_that_are_taken(tmp_path: Path, name: str) -> None:
    """A line of business does not take the name of another schema of Postgres."""
    (problem,) = _problems(tmp_path, MOTOR.replace('"motor"', f'"{name}"'))
    assert "choose another" in problem


@pytest.mark.parametrize("name", ['a"b', " a", "a\\nb", "*", "^a$", "ä" * 30, "a" * 60])
def test_column_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    """A name that Postgres would cut off, or Polars take for a pattern, is refused."""
    quoted = name.replace('"', '\\"')
    (problem,) = _problems(tmp_path, MOTOR + f'"{quoted}" = {{ dtype = "text" }}\n')
    assert re.search("a column name has 1 to 59 bytes", problem)


def test_two_columns_of_one_header(tmp_path: Path) -> None:
    """No two columns read the same header."""
    (problem,) = _problems(tmp_path, MOTOR + 'place = { dtype = "text", source = "note" }\n')
    assert "columns.place: reads 'note', as 'note' does" in problem


def test_photos_need_an_id(tmp_path: Path) -> None:
    """Photos are joined to claims by an id, and what is made of them has a name that no column may take."""
    (problem,) = _problems(tmp_path, "photos = true\n" + MOTOR.replace('id = "claim"\n', ""))
    assert "photos: are joined to claims by their id" in problem
    (problem,) = _problems(tmp_path, MOTOR + 'photos_reused = { dtype = "integer" }\n')
    assert "columns.photos_reused: the name is Claimsight's own" in problem


def test_outcome_from_one_place(tmp_path: Path) -> None:
    """The outcome stands in the claims file or in files of its own, not in both; a label has its words, and they it."""
    for text, words in (
        (MOTOR.replace("[columns]", "[outcomes]\n[columns]"), "give either roles.label"),
        (MOTOR.replace('label = "fraud"\n', ""), "label: goes with roles.label"),
        (MOTOR.replace('[label]\nfraud = ["Y"]\nnot_fraud = ["N"]\n', ""), "roles.label: needs a [label] table"),
    ):
        assert any(words in problem for problem in _problems(tmp_path, text)), words


def test_roles_that_nothing_plays(tmp_path: Path) -> None:
    """A contract needs no id, no time and no label."""
    (tmp_path / "contract.toml").write_text('name = "bare"\ntitle = "Bare"\n[columns.a]\ndtype = "number"\n')
    bare = load(tmp_path / "contract.toml")
    assert (bare.roles.id, bare.roles.event_time, bare.labelled) == (None, None, False)


def test_contradictions_beside_malformed_values(tmp_path: Path) -> None:
    """What is malformed hides no contradiction elsewhere, and adds none of its own."""
    text = MOTOR.replace('amount = { dtype = "number"', 'amount = { dtype = "nmber"').replace(
        'id = "claim"', 'id = "klaim"'
    )
    text = text.replace('label = "fraud"', 'label = "fraud"\namount = "amount"')
    text += "[derived]\nhalf = { dtype = 'number', sql = 'amount / 2' }\nnone = { dtype = 'text', sql = 'nowhere' }\n"
    problems = _problems(tmp_path, text + "[gates]\nmin_fraud = 2\n")
    for problem, words in zip(
        problems,
        (
            "line 5: roles.id: no column 'klaim'",
            "line 17: columns.amount.dtype: should be 'integer'",
            "derived.none.sql: no column 'nowhere'",
            "gates.min_fraud: no such key; did you mean 'min_frauds'?",
        ),
        strict=True,
    ):
        assert words in problem


def test_reference_tables(tmp_path: Path) -> None:
    """Columns of a reference table are stored with the claim, and derived columns may read them."""
    table = '[reference.agents]\nkey = "note"\n[reference.agents.columns]\nsince = { dtype = "date" }\n'
    text = MOTOR + table + "[derived]\nyears = { dtype = 'number', sql = 'EXTRACT(YEAR FROM since)' }\n"
    (tmp_path / "contract.toml").write_text(text)
    assert load(tmp_path / "contract.toml").stored["since"] == "date"
    wrong = table.replace('"note"', '"nott"').replace("since =", "peril =") + 'id = { dtype = "text", min = 1 }\n'
    problems = _problems(tmp_path, MOTOR.replace('id = "claim"', 'id = "id"') + wrong)
    for words in (
        "roles.id: 'id' comes from a reference table",
        "reference.agents.key: no column 'nott'",
        "reference.agents.columns.peril: the name is taken",
        "reference.agents.columns.id.min: does not fit",
    ):
        assert any(words in problem for problem in problems), (words, problems)


def test_pulls(tmp_path: Path) -> None:
    """A pull names a feed of the contract, and either a table or one SELECT; mistakes are named with their key."""
    good = '[pull.sold]\ntable = "sales.sold"\nwatermark = "changed"\n'
    (tmp_path / "contract.toml").write_text(MOTOR + good)
    assert load(tmp_path / "contract.toml").pull["sold"].feed == "claims"
    wrong = (
        good.replace("sales.sold", "sold")
        + '[pull.both]\ntable = "a.b"\nquery = "SELECT 1"\nwatermark = "x"\n'
        + '[pull.neither]\nfeed = "outcomes"\nwatermark = "x"\n'
        + '[pull.writes]\nquery = "DELETE FROM sold"\nwatermark = "x"\n'
        + '[pull.blind]\ntable = "a.b"\n'
        + '[pull."no name"]\ntable = "a.b"\nwatermark = "x"\n'
    )
    problems = _problems(tmp_path, MOTOR + wrong)
    for words in (
        "pull.sold.table: should be schema.table",
        "pull.both: give either table or query",
        "pull.neither: give either table or query",
        "pull.neither.feed: this contract has no feed 'outcomes', only claims",
        "pull.writes.query: should be one SELECT",
        "pull.blind.watermark: missing",
        "pull.no name: ",
    ):
        assert any(words in problem for problem in problems), (words, problems)


def test_a_derived_label_is_refused(tmp_path: Path) -> None:
    """The label is a column of the file."""
    text = MOTOR.replace('label = "fraud"', 'label = "told"') + "[derived]\ntold = { dtype = 'text', sql = 'note' }\n"
    (problem,) = _problems(tmp_path, text)
    assert "roles.label: 'told' must be a column of the file" in problem


def test_own_names_for_their_roles(tmp_path: Path) -> None:
    """The names claim_id, event_time and is_fraud may stand for the roles they name."""
    text = MOTOR.replace('"claim"', '"claim_id"').replace("\nclaim =", "\nclaim_id =")
    text = text.replace("lost_on", "event_time").replace('label = "fraud"', 'label = "is_fraud"')
    (tmp_path / "contract.toml").write_text(text.replace("\nfraud = {", "\nis_fraud = {"))
    assert isinstance(load(tmp_path / "contract.toml"), Contract)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_average_precision_loss", 1.5),
        ("max_calibration_error_by_decile", 0),
        ("max_demographic_parity_difference", -0.1),
        ("max_equal_opportunity_difference", 2),
        ("min_importance_correlation", -1.5),
        ("max_milliseconds", 0),
        ("max_megabytes", 0),
        ("max_megabytes", "'large'"),
    ],
)
def test_gates_out_of_range(tmp_path: Path, key: str, value: object) -> None:
    """A limit that nothing could pass or fail, or that is no number, is named with its key and line."""
    (problem,) = _problems(tmp_path, MOTOR + f"[gates]\n{key} = {value}\n")
    line = MOTOR.count("\n") + 2
    assert f"line {line}: gates.{key}: " in problem
