"""Write TOML with comments; the standard library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

LINE = 120


@dataclass(frozen=True)
class Line:
    """A key, its value, and a comment beside them, or above them where the line would be long."""

    key: str
    value: object
    comment: str = ""

    def __str__(self) -> str:
        said = f"{key(self.key)} = {value(self.value)}"
        if not self.comment:
            return said
        told = f"# {comment(self.comment)}"
        return f"{said} {told}" if len(said) + len(told) < LINE else f"{told}\n{said}"


def table(path: Sequence[str]) -> list[str]:
    """Begin a table.

    >>> table(("columns", "Schaden Nr."))
    ['[columns."Schaden Nr."]']
    """
    return [f"[{'.'.join(map(key, path))}]"]


def key(name: str) -> str:
    """Write a key, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else value(name)


def value(told: object) -> str:
    r"""Write text, a number, a truth or a list of them.

    >>> print(value(("a", 'b"', True, 1.5)), value("x\ty"))
    ["a", 'b"', true, 1.5] "x\ty"
    """
    if isinstance(told, list | tuple):
        return f"[{', '.join(map(value, told))}]"
    if isinstance(told, str) and '"' in told and "'''" not in told and told.isprintable():
        return f"'''{told}'''" if "'" in told else f"'{told}'"
    # JSON's strings, numbers and truths are TOML's, but for one character.
    return json.dumps(told, ensure_ascii=False).replace("\x7f", "\\u007f")


def comment(text: str) -> str:
    """Make text fit for a comment: one line, no control characters."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f]+", " ", text)
