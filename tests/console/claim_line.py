"""A line of few claims for the tests of the claim page, with secrets in all that must not be shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from PIL import Image
from psycopg.conninfo import make_conninfo

from console.api.settings import ConsoleSettings, from_environment
from shared.database import Database
from shared.grants import role
from tests.access_factory import GUARDED, Place, open_line

AS_OF = "2024-06-15T00:00:00+00:00"


@dataclass(frozen=True)
class Line:
    """The line; it takes the part of a `Book` where somebody signs in."""

    place: Place
    contract: Path
    login: str

    @property
    def console_url(self) -> str:
        """Connection string of a login that is in the console's role and in no other."""
        return make_conninfo(self.place.url, user=self.login)

    def settings(self, **others: str) -> ConsoleSettings:
        """Settings of the console."""
        return from_environment(
            {
                "CLAIMSIGHT_CONTRACT": str(self.contract),
                "CLAIMSIGHT_DATABASE_URL": self.console_url,
                "CLAIMSIGHT_AS_OF": AS_OF,
                "CLAIMSIGHT_EVENTS": str(self.contract.parent / "events.jsonl"),
                "CLAIMSIGHT_ARTIFACTS": str(self.contract.parent),
                **others,
            }
        )

    def rows(self, query: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """Ask as the superuser."""
        with Database(self.place.url, "motor") as database:
            return database.rows(query, parameters)


def picture(side: int) -> bytes:
    """A JPEG of a plain colour."""
    stream = io.BytesIO()
    Image.new("RGB", (4 * side, 3 * side), (0, 114, 178)).save(stream, "JPEG")
    return stream.getvalue()


PHOTO, THUMBNAIL = picture(80), picture(20)


@contextmanager
def claim_line(postgres: str, folder: Path, name: str) -> Iterator[Line]:
    """Furnish a line: a correction, and photos of which one shows what another claim's does.

    Claims c1 to c5 have a claimant and a garage in common, c6 has its own; c2 is decided.
    """
    contract = folder / "motor.toml"
    contract.write_text(GUARDED)
    with open_line(postgres, name) as place, psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"CREATE ROLE {name} LOGIN IN ROLE {role('console')}")  # type: ignore[arg-type]
        line = Line(place, contract, name)
        line.rows("UPDATE claims SET superseded_at = '2024-05-25' WHERE claim_id = 'c5'")
        line.rows(
            "INSERT INTO claims (claim_id, revision, event_time, known_at, file_id, file_line, amount, peril, garage, "
            "note, who, sex, born) SELECT claim_id, 2, event_time, '2024-05-25', 2, 1, 99.5, peril, 'g2', 'XNOTE2', "
            "'XWHO', 'XSEX2', born FROM claims WHERE claim_id = 'c5'"
        )
        line.rows("UPDATE claims SET garage = 'g3', who = 'XWHO3' WHERE claim_id = 'c6'")
        line.rows("INSERT INTO pictures (repeated) VALUES (true), (false)")
        for claim, file, shown in (("c1", "1.jpg", 1), ("c1", "2 front.jpg", 2), ("c3", "1.jpg", 1)):
            line.rows(
                "INSERT INTO claim_photos (claim_id, name, file_id, picture_id, sha256, width, height, photo, "
                "thumbnail) VALUES (%s, %s, 1, %s, '', 320, 240, %s, %s)",
                (claim, file, shown, PHOTO, THUMBNAIL),
            )
        yield line
        server.execute(f"DROP ROLE {name}")  # type: ignore[arg-type]
