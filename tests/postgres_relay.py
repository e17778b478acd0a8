"""A relay before a Postgres that reads along, and holds what passes at a chosen moment."""

from __future__ import annotations

import re
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread

from psycopg.conninfo import make_conninfo

CANCEL_REQUEST = 80877102
"""Instead of a protocol's version, on a connection of its own: PostgreSQL documentation, Message Formats."""
PHASES = {
    r'COPY "?(\w+)"? \(.*FROM STDIN': "COPY",
    r"COMMIT": "commit",
    r"SELECT uri, etag|SELECT 1 FROM claims|SELECT nextval|COPY \(|SAVEPOINT": "reading",
    r"INSERT INTO ingest_files|UPDATE ingest_files|UPDATE job_runs SET rows_in": "ledger",
    r"(DELETE FROM|INSERT INTO) (claim_photos|pictures)": "photos",
    r"CREATE TEMP|ANALYZE|WITH |DELETE FROM|UPDATE claims|INSERT INTO (claims|outcomes|reference_\w+)": "storing",
}
"""What etl does, by how its statements begin."""


def phase_of(statement: str) -> str:
    """Say what a statement of etl is for; those of its start and end are for nothing that can be lost.

    >>> phase_of('COPY "claims" ("claim_id") FROM STDIN (FORMAT binary)'), phase_of("SELECT 1")
    ('COPY claims', 'start or end')
    """
    for pattern, phase in PHASES.items():
        if found := re.match(pattern, statement, re.DOTALL):
            return f"COPY {found[1]}" if phase == "COPY" else phase
    return "start or end"


@dataclass(frozen=True)
class Moment:
    """When to hold: at the n-th message of a phase, when a share of its bytes has passed, or only its answer."""

    phase: str
    nth: int
    share: float = 0.0
    answer: bool = False


class Relay:
    """What has passed, and what is to be held."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._lock = Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._moment: Moment | None = None
        self.passed: Counter[str] = Counter()
        """Messages by phase since the last :meth:`hold_at`: of a COPY its blocks of data, else statements."""
        self.reached, self.released = Event(), Event()

    def hold_at(self, moment: Moment | None) -> None:
        """Hold what passes at a moment, until :meth:`release`; `reached` tells."""
        self.passed.clear()
        self.reached.clear()
        self.released.clear()
        self._moment = moment

    def release(self) -> None:
        """Let pass what is held, and all that comes."""
        self._moment = None
        self.released.set()

    def cut(self) -> None:
        """Break all connections, as a firewall does that has forgotten them."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    end.shutdown(socket.SHUT_RDWR)

    def serve(self, listener: socket.socket) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                Thread(target=self._join, args=[client], daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        answer = Event()
        with closing(client), closing(socket.socket(socket.AF_UNIX)) as server, suppress(OSError, EOFError):
            server.connect(self._server)
            with self._lock:
                self._pairs.append((client, server))
            Thread(target=self._answers, args=[server, client, answer], daemon=True).start()
            try:
                self._requests(client, server, answer)
            finally:
                for end in (server, client):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)

    def _answers(self, server: socket.socket, client: socket.socket, answer: Event) -> None:
        with suppress(OSError):
            while block := server.recv(1 << 16):
                if answer.is_set():
                    self._hold()
                    answer.clear()
                client.sendall(block)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _requests(self, client: socket.socket, server: socket.socket, answer: Event) -> None:
        start = _exactly(client, 8)
        length, version = struct.unpack("!II", start)
        server.sendall(start + _exactly(client, length - 8))
        if version == CANCEL_REQUEST:
            _exactly(server, 1)  # the server only hangs up
        prepared: dict[bytes, str] = {}
        statement = ""
        while True:
            head = _exactly(client, 5)
            kind, (length,) = head[:1], struct.unpack("!I", head[1:])
            body = _exactly(client, length - 4)
            if kind == b"Q":
                statement = body.rstrip(b"\0").decode()
            elif kind == b"P":
                name, text, _ = body.split(b"\0", 2)
                statement = prepared[name] = text.decode()
            elif kind == b"B":
                statement = prepared[body.split(b"\0", 2)[1]]
            phase = phase_of(statement)
            if kind == b"d" if phase.startswith("COPY") else kind in (b"Q", b"E"):
                self._pass(phase, head + body, server, answer)
            else:
                server.sendall(head + body)

    def _pass(self, phase: str, message: bytes, server: socket.socket, answer: Event) -> None:
        self.passed[phase] += 1
        moment = self._moment
        if moment is None or (moment.phase, moment.nth) != (phase, self.passed[phase]):
            server.sendall(message)
        elif moment.answer:
            answer.set()
            server.sendall(message)
        else:
            first = int(moment.share * len(message))
            server.sendall(message[:first])
            self._hold()
            server.sendall(message[first:])

    def _hold(self) -> None:
        self.reached.set()
        self.released.wait()


def through(url: str, port: int) -> str:
    """Connection string that leads to the same database by way of a relay."""
    return make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")


def _exactly(end: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        block = end.recv(size - len(found))
        if not block:
            raise EOFError
        found += block
    return bytes(found)


@contextmanager
def relay(server: str) -> Iterator[tuple[Relay, int]]:
    """Serve a relay before a server's socket; with it, its port on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Relay(server)
        thread = Thread(target=found.serve, args=[listener], daemon=True)
        thread.start()
        try:
            yield found, listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            found.release()
            found.cut()
            thread.join()
