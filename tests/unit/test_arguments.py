"""What a stage can be told on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from shared.arguments import Detail, Option, asked, text

WHO = Detail("--actor", "NAME", "who decides", text, required=True)
DAY = Detail("--on", "DATE", "of that day")


def _tell(_: object, value: str, **details: Any) -> str:
    return f"{value!r} {details}"


OPTIONS = (
    Option("--override", "REASON", "promote", _tell, (WHO,), parse=text),
    Option("--rollback", "REASON", "go back", _tell, (WHO,), optional=True),
    Option("--history", "", "tell", _tell, (DAY,), looks=True),
)


def _told(*arguments: str) -> str:
    work = asked("evaluate", "", OPTIONS, arguments).work
    assert work is not None
    return work(None)  # type: ignore[arg-type]


def test_nothing_is_asked() -> None:
    """Without arguments the stage does its own work; with --check it only looks whether it could."""
    assert asked("evaluate", "", OPTIONS, []).work is None
    assert asked("evaluate", "", OPTIONS, ["--check"]).check


def test_options_get_their_value_and_details() -> None:
    """An option's function gets the value, empty where it was left out, and each detail, None where not given."""
    assert _told("--override", " so ", "--actor", "Ada") == "'so' {'actor': 'Ada'}"
    assert _told("--actor", "Ada", "--rollback") == "'' {'actor': 'Ada'}"
    assert _told("--rollback", "bad week", "--actor", "Ada") == "'bad week' {'actor': 'Ada'}"
    assert _told("--history") == "'' {'on': None}"
    assert asked("evaluate", "", OPTIONS, ["--history"]).looks


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--override"], "expected one argument"),
        (["--override", " ", "--actor", "Ada"], "says nothing"),
        (["--override", "so"], "--override wants --actor NAME"),
        (["--rollback"], "--rollback wants --actor NAME"),
        (["--rollback", "--history"], "not allowed with"),
        (["--actor", "Ada"], "--actor goes with --override or --rollback"),
        (["--history", "--actor", "Ada"], "--actor goes with --override or --rollback"),
        (["--check", "--on", "2024-01-01"], "--on goes with --history"),
        (["--override", "so", "--actor", "J\udcff"], "argument 4 is not UTF-8"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not go together ends with 2 and a sentence, in one line."""
    with pytest.raises(SystemExit, match="2"):
        asked("evaluate", "", OPTIONS, arguments)
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
