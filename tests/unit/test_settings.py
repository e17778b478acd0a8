"""Settings from the environment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from console.api.settings import from_environment as console_settings
from shared.errors import ConfigError
from shared.settings import EventBus, S3Prefix, Settings, from_environment, variable

ENOUGH = {
    "CLAIMSIGHT_CONTRACT": "contracts/vehicle.toml",
    "CLAIMSIGHT_DATABASE_URL": "postgresql://user:secret@host/claims",
    "CLAIMSIGHT_DROP": "drop",
    "CLAIMSIGHT_EVENTS": "events.jsonl",
    "CLAIMSIGHT_ARTIFACTS": "artifacts",
    "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    "CLAIMSIGHT_AS_OF": "2024-06-03",
}


def _without(*names: str) -> dict[str, str]:
    return {name: value for name, value in ENOUGH.items() if name not in names}


def test_defaults() -> None:
    """What need not be set has its default."""
    settings = from_environment(ENOUGH)
    assert (settings.threads, settings.git_sha, settings.image_digest) == (2, "unknown", "none")


def test_a_namespace_is_one_of_cloudwatch() -> None:
    """Metrics have a namespace that CloudWatch takes, or none."""
    assert from_environment(ENOUGH | {"CLAIMSIGHT_METRICS": "Claimsight/dev"}).metrics == "Claimsight/dev"
    assert from_environment(ENOUGH).metrics is None
    with pytest.raises(ConfigError, match="CLAIMSIGHT_METRICS"):
        from_environment(ENOUGH | {"CLAIMSIGHT_METRICS": "of the team"})


@pytest.mark.parametrize(
    ("text", "hour"),
    [("2024-06-03", 0), ("2024-06-03T06:00:00", 6), ("2024-06-03T06:00:00Z", 6), ("2024-06-03T06:00:00+02:00", 4)],
)
def test_the_clock_is_in_utc_unless_it_says_otherwise(text: str, hour: int) -> None:
    """A bare date is its midnight in UTC, a moment without a zone is in UTC."""
    assert from_environment(ENOUGH | {"CLAIMSIGHT_AS_OF": text}).as_of == datetime(2024, 6, 3, hour, tzinfo=UTC)


def test_the_clock_is_now_by_default() -> None:
    """Without a clock it is now."""
    as_of = from_environment(_without("CLAIMSIGHT_AS_OF")).as_of
    assert timedelta(0) <= datetime.now(UTC) - as_of < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        ("a/folder", Path("a/folder")),
        ("s3://claims", S3Prefix("claims", "")),
        ("s3://claims/", S3Prefix("claims", "")),
        ("s3://claims.eu/the drop/100%/", S3Prefix("claims.eu", "the drop/100%")),
    ],
)
def test_the_drop_is_a_folder_or_in_s3(text: str, drop: Path | S3Prefix) -> None:
    """A drop that begins with s3:// is a bucket and a prefix, any other one a folder."""
    assert from_environment(ENOUGH | {"CLAIMSIGHT_DROP": text}).drop == drop


@pytest.mark.parametrize("text", ["s3://", "s3:///drop", "s3://a?b", "S3://claims", "gs://claims/drop"])
def test_a_drop_that_is_neither(text: str) -> None:
    """What looks like a URL and is no place in S3 is refused in one line."""
    with pytest.raises(ConfigError) as caught:
        from_environment(ENOUGH | {"CLAIMSIGHT_DROP": text})
    (problem,) = caught.value.problems
    assert problem == "CLAIMSIGHT_DROP is neither a folder nor s3://bucket/prefix; see .env.example"


def test_events_go_to_a_file_or_a_bus() -> None:
    """Events that begin with eventbridge:// go to that bus, any other to a file; models lie where the drop may lie."""
    there = {"CLAIMSIGHT_EVENTS": "eventbridge://claimsight-dev", "CLAIMSIGHT_ARTIFACTS": "s3://kept/models/"}
    settings = from_environment(ENOUGH | there)
    assert (settings.events, settings.artifacts) == (EventBus("claimsight-dev"), S3Prefix("kept", "models"))
    assert (str(settings.events), str(settings.artifacts)) == ("eventbridge://claimsight-dev", "s3://kept/models")
    with pytest.raises(ConfigError) as caught:
        from_environment(ENOUGH | {"CLAIMSIGHT_EVENTS": "kafka://x", "CLAIMSIGHT_ARTIFACTS": "gs://kept"})
    assert set(caught.value.problems) == {
        "CLAIMSIGHT_EVENTS is neither a file nor eventbridge://bus; see .env.example",
        "CLAIMSIGHT_ARTIFACTS is neither a folder nor s3://bucket/prefix; see .env.example",
    }


def test_everything_wrong_is_named_at_once() -> None:
    """One error names every variable that is missing or malformed, by the name that an operator knows."""
    wrong = _without("CLAIMSIGHT_DROP", "MLFLOW_TRACKING_URI") | {
        "CLAIMSIGHT_AS_OF": "yesterday",
        "CLAIMSIGHT_THREADS": "0",
    }
    with pytest.raises(ConfigError) as caught:
        from_environment(wrong)
    named = {problem.split()[0] for problem in caught.value.problems}
    assert named == {"CLAIMSIGHT_DROP", "MLFLOW_TRACKING_URI", "CLAIMSIGHT_AS_OF", "CLAIMSIGHT_THREADS"}
    assert "CLAIMSIGHT_DROP is not set; see .env.example" in caught.value.problems


def test_an_empty_environment_names_all_that_is_needed() -> None:
    """Every setting without a default is asked for."""
    with pytest.raises(ConfigError) as caught:
        from_environment({})
    needed = {variable(name) for name, field in Settings.model_fields.items() if field.is_required()}
    assert {problem.split()[0] for problem in caught.value.problems} == needed - {"CLAIMSIGHT_AS_OF"}


@pytest.mark.parametrize("value", ["", "  "])
def test_empty_counts_as_absent(value: str) -> None:
    """An empty variable is one that is not set: a default stands, a needed one is asked for."""
    assert from_environment(ENOUGH | {"CLAIMSIGHT_THREADS": value}).threads == 2
    with pytest.raises(ConfigError, match="CLAIMSIGHT_DROP is not set"):
        from_environment(ENOUGH | {"CLAIMSIGHT_DROP": value})


def test_surrounding_blanks_do_not_count() -> None:
    """A value is taken without the blanks around it."""
    assert from_environment(ENOUGH | {"CLAIMSIGHT_THREADS": " 4 "}).threads == 4


def test_other_variables_are_passed_over() -> None:
    """Variables of others, and settings this version does not know, do no harm."""
    others = {"PATH": "/bin", "CLAIMSIGHT_TOMORROW": "1", "DROP": "elsewhere"}
    assert from_environment(ENOUGH | others) == from_environment(ENOUGH)


def test_the_password_is_not_shown() -> None:
    """Neither the settings' text nor an error about the settings shows the password."""
    assert "secret" not in repr(from_environment(ENOUGH))
    with pytest.raises(ConfigError) as caught:
        from_environment(_without("CLAIMSIGHT_DROP"))
    assert "secret" not in str(caught.value)


def test_settings_are_frozen() -> None:
    """Nobody changes the settings on the way."""
    with pytest.raises(ValidationError):
        from_environment(ENOUGH).threads = 3  # type: ignore[misc]


CONSOLE = ENOUGH | {"CLAIMSIGHT_OIDC_ISSUER": "https://id.example/pool", "CLAIMSIGHT_OIDC_CLIENT_ID": "console"}


def test_the_console_needs_no_more_than_a_stage() -> None:
    """Without a provider people sign in with passwords; with one they do so only if that is said."""
    bare = console_settings(_without("CLAIMSIGHT_DROP", "MLFLOW_TRACKING_URI"))
    assert (bare.has_local_users, bare.secure, bare.proxies) == (True, False, "")
    assert bare.oidc_roles["claimsight-data-scientist"] == "data_scientist"
    assert not console_settings(CONSOLE).has_local_users
    assert console_settings(CONSOLE | {"CLAIMSIGHT_LOCAL_USERS": "on"}).has_local_users


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "claims.example"),
        ("PUBLIC_URL", "https://claims.example/console"),
        ("PROXIES", "*"),
        ("PROXIES", "10.0.0.1/8"),
        ("PORT", "70000"),
        ("SESSION_IDLE_MINUTES", "0"),
        ("OIDC_ISSUER", "http://id.example"),
        ("OIDC_ISSUER", "id.example"),
        ("OIDC_ROLES", "siu=owner"),
        ("OIDC_ROLES", "siu"),
        ("OIDC_ROLES", "=admin"),
        ("LOCAL_USERS", "maybe"),
    ],
)
def test_what_the_console_does_not_take(name: str, value: str) -> None:
    """A malformed setting of the console is named, in one line, without its value."""
    with pytest.raises(ConfigError) as caught:
        console_settings(CONSOLE | {f"CLAIMSIGHT_{name}": value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"CLAIMSIGHT_{name} ")
    assert value not in problem


def test_a_console_that_nobody_could_enter() -> None:
    """A provider without a client, and neither provider nor passwords, are mistakes that are told before it starts."""
    with pytest.raises(ConfigError, match="CLAIMSIGHT_OIDC_CLIENT_ID is not set"):
        console_settings({name: value for name, value in CONSOLE.items() if name != "CLAIMSIGHT_OIDC_CLIENT_ID"})
    with pytest.raises(ConfigError, match="nobody could sign in"):
        console_settings(ENOUGH | {"CLAIMSIGHT_LOCAL_USERS": "off"})
