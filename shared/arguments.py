"""What a stage can be told on the command line: nothing, or one option in place of its work."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from shared.choreography import Stage
from shared.errors import ExitCode
from shared.shard import COUNTS, DIVIDED, WHOLE, Shard

if TYPE_CHECKING:
    from shared.job import Job


class Parser(argparse.ArgumentParser):
    """Reads a command line; one that is wrong ends the process with 2 and one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.exit(int(ExitCode.USAGE), f"{self.prog}: {message}; see --help\n")


@dataclass(frozen=True)
class Detail:
    """Something said beside an option, such as ``--actor NAME``.

    Attributes
    ----------
    flag, value, purpose : str
        As of an :class:`Option`.
    parse : callable
        Makes the value of its text; an ``argparse.ArgumentTypeError`` says what is wrong with it.
    required : bool
        Whether the option cannot go without.
    """

    flag: str
    value: str
    purpose: str
    parse: Callable[[str], Any] = str
    required: bool = False

    @property
    def name(self) -> str:
        """What the option's function calls it.

        >>> Detail("--on", "DATE", "of that day").name
        'on'
        """
        return _name(self.flag)


@dataclass(frozen=True)
class Option:
    """Something else that a stage can be told to do, in place of its work.

    Attributes
    ----------
    flag : str
        Such as ``--forget``.
    value : str
        What ``--help`` calls the flag's value; empty where it takes none.
    purpose : str
        One sentence for ``--help``.
    work : callable
        Gets the job, the value (empty where there is none) and the details by name (None where not given), and returns
        one sentence on what it did.
    details : tuple of Detail
        What may be said beside it.
    parse : callable
        As of a :class:`Detail`.
    optional : bool
        Whether the value may be left out.
    looks : bool
        Whether it only looks: then it waits for no other run and is not entered into the ledger.
    """

    flag: str
    value: str
    purpose: str
    work: Callable[..., str]
    details: tuple[Detail, ...] = ()
    parse: Callable[[str], str] = str
    optional: bool = False
    looks: bool = False


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes
    ----------
    check : bool
        Only whether it could run.
    work : callable or None
        An option's work, in place of the stage's own.
    looks : bool
        Whether that only looks.
    shard : Shard
        Of which claims.
    """

    check: bool = False
    work: Callable[[Job], str] | None = None
    looks: bool = False
    shard: Shard = WHOLE


def asked(stage: Stage, purpose: str, options: Iterable[Option], arguments: Sequence[str] | None = None) -> Asked:
    """Read the command line; one that is wrong ends the process with 2.

    Parameters
    ----------
    arguments : sequence of str, optional
        In place of the process's own.
    """
    options = tuple(options)
    parser = Parser(
        prog=f"python -m jobs.{stage}",
        description=purpose,
        epilog="Settings come from the environment; .env.example lists them. The exit codes stand in the README.",
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--check", action="store_true", help="look whether it could run, and do nothing")
    for option in options:
        if option.value:
            may_lack: dict[str, Any] = {"nargs": "?", "const": ""} if option.optional else {}
            one.add_argument(option.flag, metavar=option.value, type=option.parse, help=option.purpose, **may_lack)
        else:
            one.add_argument(option.flag, action="store_const", const="", help=option.purpose)
    for detail in dict.fromkeys(detail for option in options for detail in option.details):
        parser.add_argument(detail.flag, metavar=detail.value, type=detail.parse, help=detail.purpose)
    if stage in DIVIDED:
        counts = ", ".join(map(str, COUNTS))
        purpose = f"work on one of N equal parts of the claims only, 0/N to N-1/N, beside other runs; N: {counts}"
        parser.add_argument("--shard", metavar="I/N", type=_shard, help=purpose)
    arguments = sys.argv[1:] if arguments is None else arguments
    _check_utf8(parser, arguments)
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    chosen = next((option for option in options if _name(option.flag) in given), None)
    beside = {detail.name: detail for option in options for detail in option.details if detail.name in given}
    known = {detail.name for detail in chosen.details} if chosen else set()
    for detail in beside.values():
        if detail.name not in known:
            goes = " or ".join(option.flag for option in options if detail in option.details)
            parser.error(f"{detail.flag} goes with {goes}")
    shard = given.get("shard", WHOLE)
    if chosen is None:
        return Asked(check=given["check"], shard=shard)
    if shard != WHOLE:
        parser.error(f"--shard does not go with {chosen.flag}")
    for detail in chosen.details:
        if detail.required and detail.name not in given:
            parser.error(f"{chosen.flag} wants {detail.flag} {detail.value}: {detail.purpose}")
    told = {detail.name: given.get(detail.name) for detail in chosen.details}
    value = given[_name(chosen.flag)]
    return Asked(work=lambda job: chosen.work(job, value, **told), looks=chosen.looks)


def text(value: str) -> str:
    """Take a text that says something, without blanks around it.

    >>> text(" tariff change ")
    'tariff change'
    """
    if not value.strip():
        raise argparse.ArgumentTypeError("says nothing")
    return value.strip()


def _check_utf8(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    for place, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:  # what is said is kept in the database, which takes nothing else
            parser.error(f"argument {place} is not UTF-8; write it so")


def _shard(value: str) -> Shard:
    try:
        return Shard.parse(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
