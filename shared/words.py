"""Say what a feature's value is, in words that an investigator understands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.contract import PHOTOS_REUSED, Contract
from shared.features import Feature
from shared.past import MOST_CLAIMS, SHARERS, WINDOW_DAYS, entities, of_entity, usual_amount

Value = float | str | None

LONGEST = 80
"""Characters of a level in a sentence."""
Compared = tuple[str, str]
HIGH = ("as low or lower", "as high or higher")
LONG = ("as short or shorter", "as long or longer")
MANY = ("as few or fewer", "as many or more")


@dataclass(frozen=True)
class Words:
    """How a feature is spoken of.

    Attributes
    ----------
    subject : str
        What it is of the claim, with a capital.
    value : callable
        Writes a value that is known.
    compared : (str, str) or None
        What the lower values and the higher ones are called; None where values are neither.
    unknown : str
        Said where there is no value.
    reverse : str
        The subject of what is counted the other way round, below zero; empty where nothing is.
    hidden : bool
        Whether its value is nobody's business: of a column that is watched for bias. The model may look at it, but
        whoever reviews the claim is not to be led by it.
    """

    subject: str
    value: Callable[[float | str], str]
    compared: Compared | None = HIGH
    unknown: str = ""
    reverse: str = ""
    hidden: bool = False

    def says(self, value: Value) -> str:
        """Subject and value, as a sentence begins.

        >>> words = Words("From report to loss", _days, LONG, reverse="From loss to report")
        >>> words.says(-3.0), words.says(None)
        ('From loss to report: 3 days', 'From report to loss is unknown')
        """
        if self._is_reverse(value):
            return f"{self.reverse}: {self.value(-float(value or 0))}"
        if value is None:
            return self.unknown or f"{self.subject} is unknown"
        return f"{self.subject}: {self.value(value)}"

    def against(self, value: Value, side: int) -> str:
        """What a value is beside those on its side of the middle, -1 or 1; empty where values have no order."""
        if self.compared is None or value is None:
            return ""
        return self.compared[(side > 0) != self._is_reverse(value)]

    def _is_reverse(self, value: Value) -> bool:
        return bool(self.reverse) and isinstance(value, float) and value < 0


def words_of(feature: Feature, contract: Contract) -> Words:
    """Find words for a feature, from what the contract says of the columns that it is made from."""
    hidden = not contract.made_from(contract.roles.sensitive).isdisjoint(feature.sources)
    one, *others = (_meaning(contract, source) for source in feature.sources)
    past = _of_past(contract).get(feature.name)
    if past is not None:
        return past
    if feature.recurs:
        return Words(f"{_capital(one)}, weekday", str, None, hidden=hidden)
    if usual_amount(contract) in feature.sources[1:]:
        kind = spoken(str(contract.roles.kind))
        return Words(_capital(one), lambda value: f"{_number(value)} times the usual of its {kind}", hidden=hidden)
    if others:
        reverse = f"From {others[0]} to {one}"
        return Words(f"From {one} to {others[0]}", _days, LONG, reverse=reverse, hidden=hidden)
    column = contract.known.get(feature.sources[0])
    unit = column.unit if column else ""
    if column is not None and column.dtype == "boolean":
        return Words(_capital(one), lambda value: "yes" if value else "no", None, hidden=hidden)
    compared = None if feature.kind == "category" else HIGH
    return Words(_capital(one), lambda value: _with_unit(value, unit), compared, hidden=hidden)


def share(part: float) -> str:
    """Write a share as a percentage, to two significant figures.

    >>> share(0.3417), share(0.00512), share(1.0), share(0.0)
    ('34 %', '0.51 %', '100 %', '0 %')
    """
    percent = 100 * part
    return f"{percent:.0f} %" if percent >= 9.95 else f"{percent:.2g} %"


def _of_past(contract: Contract) -> Mapping[str, Words]:
    """Words for what is known of a claim's past, by feature."""
    found = dict[str, Words]()
    before = f"in the {WINDOW_DAYS} days before"
    for entity in entities(contract):
        same = f"with the same {spoken(entity)}"
        words = {
            "claims": Words(f"Claims {same} {before}", _up_to(MOST_CLAIMS), MANY),
            "days": Words(
                f"Since the last claim {same}",
                _days,
                LONG,
                f"No claim {same} is known from the {WINDOW_DAYS} days before",
            ),
            "rate": Words(
                f"Share of fraud known before among claims {same}", lambda value: f"{_number(value)} times the usual"
            ),
            "claimants": Words(f"Other claimants before {same}", _up_to(SHARERS), MANY),
        }
        found |= {name: words[what] for what, (name, _) in of_entity(contract, entity).items()}
    if contract.photos:
        found[PHOTOS_REUSED] = Words("Photos of it that another claim had shown before", _number, MANY)
    return found


def _meaning(contract: Contract, source: str) -> str:
    """A column in a few words: the first clause of its meaning, or else its name."""
    column = contract.known.get(source)
    meaning = column.meaning if column else ""
    for end in (";", ":", ",", " ("):
        meaning = meaning.partition(end)[0]
    return meaning.strip() or spoken(source)


def spoken(column: str) -> str:
    """Say a column's name.

    >>> spoken("garage_id")
    'garage'
    """
    return column.replace("_", " ").removesuffix(" id")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _with_unit(value: float | str, unit: str) -> str:
    """Write a value with its unit, unless a level says it already or holds no number.

    >>> _with_unit(12000.0, "EUR"), _with_unit(2019.0, ""), _with_unit("none", "days"), _with_unit("1 to 7", "days")
    ('12,000 EUR', '2019', 'none', '1 to 7 days')
    """
    if isinstance(value, str):
        text = value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
        unit = unit if any(map(str.isdigit, value)) and unit not in value else ""
    else:
        text = _number(value, "," if unit else "")
    return f"{text} {unit}".rstrip()


def _number(value: float | str, thousands: str = "") -> str:
    """Write a number: whole ones in full, others to three significant figures or whole; words as they are.

    >>> _number(2.3456), _number(-1234.5, ","), _number(0.000123)
    ('2.35', '-1,234', '0.000123')
    """
    if isinstance(value, str):
        return value
    if value == round(value) or abs(value) >= 100 or not math.isfinite(value):
        return f"{value:{thousands}.0f}"
    return f"{value:.3g}"


def _days(value: float | str) -> str:
    """Write a time in days.

    >>> _days(1.0), _days(12.5), _days(-3.0)
    ('1 day', '12.5 days', '-3 days')
    """
    return f"{_number(value, ',')} day{'' if value == 1 else 's'}"


def _up_to(most: int) -> Callable[[float | str], str]:
    return lambda value: (
        f"{_number(value)} or more" if isinstance(value, float | int) and value >= most else _number(value)
    )
