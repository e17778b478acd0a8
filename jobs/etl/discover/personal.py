"""Tell personal columns by the shape of their cells, whatever their header says."""

from __future__ import annotations

import polars as pl

SHARE, VALUES = 0.6, 500
"""Share of values of a personal shape, among so many of the most frequent ones, to tell."""
CHECKED_SHARE = 0.9
"""The same for numbers with check digits: by chance one in ten passes Luhn's, and one in a hundred the IBAN's."""

_PHONE = r"^(\+\d[\d ()/.-]{7,16}\d|\(\d{3}\) ?\d{3}-\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|0\d{2,4}[ /-]\d[\d ]{4,9})$"
_STREET_NAMES = "st|street|ave|avenue|road|rd|drive|dr|lane|ln|court|boulevard|blvd|way|hwy|circle|place|terrace"
_SHAPES = {
    "e-mail addresses": r"^[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}$",
    "social security numbers": r"^\d{3}-\d{2}-\d{4}$",
    "telephone numbers": _PHONE,
    "IP addresses": r"^(\d{1,3}\.){3}\d{1,3}$",
    "street addresses": rf"(?i)^\d+[a-z]? .*\b({_STREET_NAMES})\.?$"
    r"|^(.*(str\.|straße|strasse|weg|platz)|(rue|calle|via|avenida) .*),? \d+ ?[a-z]?$",
}
_IBAN, _CARD = r"^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$", r"^\d{13,19}$"


def personal_shape(values: pl.Series) -> str:
    """What personal thing most values look like; empty if none.

    Parameters
    ----------
    values : polars.Series
        Different values, the most frequent first.
    """
    some = values[:VALUES]
    if some.is_empty():
        return ""
    for shape, pattern in _SHAPES.items():
        if int(some.str.contains(pattern).sum()) >= SHARE * some.len():
            return shape
    bare = some.str.replace_all("[ -]", "")
    for shape, pattern, holds in (("bank account numbers (IBAN)", _IBAN, is_iban), ("card numbers", _CARD, is_card)):
        if sum(map(holds, bare.filter(bare.str.contains(pattern)))) >= CHECKED_SHARE * bare.len():
            return shape
    return ""


def is_iban(text: str) -> bool:
    """Check digits of ISO 13616 (modulo 97).

    >>> is_iban("GB82WEST12345698765432"), is_iban("GB82WEST12345698765433"), is_iban("")
    (True, False, False)
    """
    moved = text[4:] + text[:4]
    return moved.isalnum() and moved.isascii() and int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1


def is_card(digits: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1).

    >>> is_card("4111111111111111"), is_card("4111111111111112"), is_card("")
    (True, False, False)
    """
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return bool(doubled) and sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0
