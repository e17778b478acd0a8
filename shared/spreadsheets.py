"""What spreadsheets make of the cells of a CSV file."""

from __future__ import annotations

FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""A cell that begins so may be run by a spreadsheet: OWASP, CSV Injection."""


def harmless(cell: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would run.

    >>> harmless("=1+1"), harmless("C-17")
    ("'=1+1", 'C-17')
    """
    return f"'{cell}" if cell.startswith(FORMULA) else cell
