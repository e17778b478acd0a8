"""Text in blocks, written as Markdown or as one page of HTML; whatever stands in it stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b2127; --soft: #525c66; --edge: #d3d9df; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161a; --ink: #e8ecef; --soft: #a5b0ba; --edge: #3a434b; } }
@media print { :root { color-scheme: light; --paper: #fff; --ink: #000; --soft: #333; --edge: #999; } }
body { margin: 0 auto; max-width: 52rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; overflow-wrap: break-word; }
h1, h2 { line-height: 1.25; } h2 { margin: 2.25rem 0 .5rem; font-size: 1.25rem; break-after: avoid; }
div { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .35rem; }
th, td { padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--edge); }
td { font-variant-numeric: tabular-nums; } tr { break-inside: avoid; }
"""
_SPECIAL = re.compile(r"([\\`*\[\]<>#|~&]|(?<!\w)_|_(?!\w))")


@dataclass(frozen=True)
class Heading:
    """A section begins."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells, as many as the header has; the first of each row names it."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Points | Table


def markdown(title: str, blocks: Iterable[Block]) -> str:
    r"""Write as Markdown (CommonMark with tables).

    >>> print(markdown("A", [Points(("b", "<i>"))]))
    # A
    <BLANKLINE>
    - b
    - \<i\>
    <BLANKLINE>
    """
    parts = [f"# {_marked(title)}"]
    for block in blocks:
        match block:
            case Heading(text):
                parts.append(f"## {_marked(text)}")
            case Paragraph(text):
                parts.append(_marked(text))
            case Points(items):
                parts.append("\n".join(f"- {_marked(item)}" for item in items))
            case Table(caption, header, rows):
                lines = [_row(header), _row("---" for _ in header), *(_row(map(_marked, row)) for row in rows)]
                parts += [_marked(caption) + ":", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def html(title: str, blocks: Iterable[Block]) -> str:
    """Write as a page that needs nothing else, and runs nothing."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_tags(block) for block in blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _tags(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Points(items):
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in items)}</ul>"
        case Table(caption, header, rows):
            head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
            body = "".join(f'<tr><th scope="row">{escape(first)}</th>{_cells(rest)}</tr>\n' for first, *rest in rows)
            return (
                f'<div role="region" tabindex="0" aria-label="{escape(caption)}"><table><caption>{escape(caption)}'
                f"</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
            )


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
