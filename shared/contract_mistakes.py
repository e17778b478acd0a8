"""All mistakes of a contract at once, each with its key and its line.

What pydantic finds in single values comes first; then :mod:`shared.contradictions` holds the parts against each other,
also where some values were wrong: those are left out and what depends on them is not held against anything.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from shared.contract import Contract
from shared.contradictions import MEANT, ContradictionsError, Key, Mistake, meant


def sentences(error: ValidationError, document: dict[str, Any], text: str) -> list[str]:
    """Say each mistake of a contract.

    Parameters
    ----------
    error : ValidationError
        What validating the document came to.
    document : dict
        The contract as TOML has it.
    text : str
        Its text, for the lines.

    Returns
    -------
    list of str
        By line, such as ``", line 12: columns.amount.dtype: should be 'integer', ..."``.
    """
    found = _mistakes(error)
    if wrong := [mistake.key for mistake in found if mistake not in _contradictions_of(error)]:
        found += _further(document, wrong)
    lines = lines_of(text)
    placed = sorted({(_line(mistake.key, lines), mistake) for mistake in found})
    return [
        f"{f', line {line}' if line else ''}: {_name(key)}: {' '.join(says.split())}" for line, (key, says) in placed
    ]


def _name(key: Key) -> str:
    return ".".join(key).replace("\n", "\\n")


def lines_of(text: str) -> dict[Key, int]:
    r"""Line on which each key of a TOML document stands, the first being 1.

    >>> lines_of('a = 1\n[b.c]\nd = [\n  2,\n]\n')
    {('a',): 1, ('b', 'c'): 2, ('b', 'c', 'd'): 3}
    """
    found: dict[Key, int] = {}
    table: Key = ()
    begun, statement = 0, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        begun, statement = (number, line) if not statement else (begun, statement + line)
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:  # a value of several lines, which ends further down
            continue
        if statement.lstrip().startswith("["):
            (table,) = _leaves(parsed)
            found.setdefault(table, begun)
        else:
            found |= {table + key: begun for key in _leaves(parsed)}
        statement = ""
    return found


def _leaves(parsed: Mapping[str, Any]) -> Iterator[Key]:
    for name, value in parsed.items():
        inner = value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else value
        if isinstance(inner, dict) and inner:
            yield from ((name, *key) for key in _leaves(inner))
        else:
            yield (name,)


def _line(key: Key, lines: Mapping[Key, int]) -> int:
    """Line of a key, else of the first key below it, else of the nearest table above it; 0 where there is none."""
    for length in range(len(key), 0, -1):
        if below := [line for at, line in lines.items() if at[:length] == key[:length]]:
            return min(below)
    return 0


def _mistakes(error: ValidationError) -> list[Mistake]:
    found = []
    for item in error.errors():
        if item not in _contradicting(error):
            key = tuple(str(part) for part in item["loc"] if part != "[key]")
            found.append(Mistake(key, _said(item, key)))
    return found + _contradictions_of(error)


def _contradicting(error: ValidationError) -> list[Any]:
    return [item for item in error.errors() if isinstance(item.get("ctx", {}).get("error"), ContradictionsError)]


def _contradictions_of(error: ValidationError) -> list[Mistake]:
    return [mistake for item in _contradicting(error) for mistake in item["ctx"]["error"].mistakes]


def _said(item: Any, key: Key) -> str:
    match item["type"]:
        case "extra_forbidden":
            return "no such key" + meant(key[-1], _keys_beside(key))
        case "missing":
            return "missing"
        case "string_pattern_mismatch" if key == ("name",):
            return "1 to 40 of a-z, 0-9 and _, the first a letter"
        case _:
            said: str = item["msg"].removeprefix("Value error, ")
            return said.removeprefix("Input ") if said.startswith("Input ") else said


def _keys_beside(key: Key) -> list[str]:
    """Keys that the contract knows where an unknown one was found."""
    model: Any = Contract
    for part in key[:-1]:
        # A table of tables has names of the sender's own on every second level.
        field = getattr(model, "model_fields", {}).get(part)
        annotation = field.annotation if field else model
        inner = [a for a in _within(annotation) if hasattr(a, "model_fields")]
        model = inner[-1] if inner else annotation
    return list(getattr(model, "model_fields", {}))


def _within(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _within(argument)


def _further(document: dict[str, Any], wrong: list[Key]) -> list[Mistake]:
    """Contradictions among what is left when wrong values are taken out."""
    left, unsure = copy.deepcopy(document), set()
    for key in wrong:
        unsure |= _take_out(left, key)
    try:
        Contract.model_validate(left)
    except ValidationError as error:
        return [
            mistake
            for mistake in _contradictions_of(error)
            if not unsure & {*mistake.key, *re.findall("'([^']*)'", mistake.says.partition(MEANT)[0])}
            and not any(name in _sql(left, mistake.key) for name in unsure)
        ]
    return []


def _sql(document: dict[str, Any], key: Key) -> str:
    return str(document["derived"][key[1]]["sql"]) if key[:1] == ("derived",) else ""


def _take_out(document: dict[str, Any], key: Key) -> set[str]:
    """Take a wrong value out, or put one in its place that is none; return the columns of which less is known then."""
    match key:
        case ("columns", name, *_) | ("reference", _, "columns", name, *_):
            parent: Any = document
            for part in key[: key.index(name)]:
                parent = parent[part]
            parent[name] = {"dtype": "text"}
            return {name}
        case ("derived", name, *_):
            document["derived"][name] = {"dtype": "text", "sql": "NULL"}
            return {name}
        case ("reference", name, *_):
            table = document["reference"].pop(name)
            return {name, *(table.get("columns", {}) if isinstance(table, dict) else ())}
        case ("pull", name, *_):
            del document["pull"][name]
        case ("name" | "title" as part,):
            document[part] = "contract"
        case ("columns",):
            document["columns"] = {"\n": {"dtype": "text"}}
            return {"\n"}
        case _:
            parent = document
            for part in key[:-1]:
                parent = parent.get(part, {}) if isinstance(parent, dict) else {}
            if isinstance(parent, dict):
                parent.pop(key[-1], None)
            elif len(key) > 1:  # one of a list
                document.get(key[0], {}).pop(key[1], None)
    return set()
