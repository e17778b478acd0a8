"""A world in which etl can be struck: a Postgres of its own behind a relay, a small disk, and what was struck when."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.conninfo import make_conninfo

from deploy.local import embedded
from tests.postgres_relay import phase_of

DISK_BYTES = 64 << 20


class World:
    """A server of this test's own, since it will be harmed.

    Attributes
    ----------
    disk : Path or None
        A small disk for databases to stand on; None where this user may not mount one.
    scratch : Path or None
        Another, for temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = ExitStack()
        self._url = self._server.enter_context(embedded.postgres(folder / "postgres"))
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # what is struck is no machine's power
            connection.execute("SELECT pg_reload_conf()")
        self.disk, self.scratch = self._mounted("tables"), self._mounted("scratch")
        if self.disk is not None:
            owner = (folder / "postgres" / "PG_VERSION").stat()
            os.chown(self.disk, owner.st_uid, owner.st_gid)
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(f"CREATE TABLESPACE small LOCATION '{self.disk}'")

    def _mounted(self, name: str) -> Path | None:
        place = self._folder / name
        place.mkdir()
        asked = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700", "tmpfs", str(place)]
        if os.geteuid() or shutil.which("mount") is None:
            return None
        return None if subprocess.run(asked, check=False, capture_output=True).returncode else place

    def close(self) -> None:
        """Stop the server and take the disks away."""
        self._server.close()
        for disk in filter(None, (self.disk, self.scratch)):
            subprocess.run(["umount", str(disk)], check=True)

    @property
    def socket(self) -> str:
        """Where the server listens."""
        return f"{parse_qs(urlsplit(self._url).query)['host'][0]}/.s.PGSQL.5432"

    def url(self, name: str) -> str:
        """Connection string of a database."""
        return make_conninfo(self._url, dbname=name)

    def empty(self, name: str, like: str = "template1", *, small: bool = False) -> None:
        """Make a database anew, or a copy of another; on the small disk if told so."""
        place = " TABLESPACE small" if small else ""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            # The other strategy forgets after a crash which numbers the copy's sequences have given since it was made.
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}{place} STRATEGY file_copy")

    def phase(self, name: str) -> str:
        """What the server says that etl is at."""
        with psycopg.connect(self._url) as connection:
            found = connection.execute(
                "SELECT state, query FROM pg_stat_activity WHERE datname = %s ORDER BY backend_start", [name]
            ).fetchone()
        match found:
            case None:
                return "starting"
            case "active", statement:
                return phase_of(statement)
            case "idle", statement:
                return "commit, its answer" if statement == "COMMIT" else "between files"
            case _:
                return "reading, cleaning"

    def terminate(self, name: str) -> None:
        """End etl's session, as an administrator does."""
        with psycopg.connect(self._url) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    def crash(self) -> None:
        """End the server without a checkpoint."""
        pid = int((self._folder / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # Postgres' word for an immediate shutdown
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)
        self._server.close()

    def restart(self) -> None:
        """Start the server that crashed."""
        self._server.enter_context(embedded.postgres(self._folder / "postgres"))


@contextmanager
def full(disk: Path, leave: int = 0) -> Iterator[None]:
    """Leave no room on a disk, or a few bytes, while the block lasts."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            file.truncate(file.tell() - leave)
        yield
    finally:
        ballast.unlink()
