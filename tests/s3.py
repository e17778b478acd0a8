"""A local S3 for tests, and one that fails on demand."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal
from uuid import uuid4

SLOW_SECONDS = 1.0
REFUSALS = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "AccessDenied": (403, "AccessDenied"),
    "ExpiredToken": (400, "ExpiredToken"),
    "SignatureDoesNotMatch": (403, "SignatureDoesNotMatch"),
}
Fault = Literal[
    "500", "503", "AccessDenied", "ExpiredToken", "SignatureDoesNotMatch", "slow", "truncated", "shortened", "reset"
]
"""What may go wrong: a refusal, an answer that takes a second, half an answer, one that says it is whole, or none."""
Request = Literal["object", "listing"]
SECRET = f"secret-{uuid4().hex}"
"""Stands in no log and no error."""


@dataclass(frozen=True)
class S3:
    """An S3, as a stage is told of it."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """The ``AWS_*`` variables that lead there."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    @cached_property
    def client(self) -> Any:
        """A client of the test's own, to fill buckets with."""
        import boto3  # slow, and most tests need none
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id="test",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
            config=Config(request_checksum_calculation="when_required"),  # as senders did that are not of today
        )

    def bucket(self) -> str:
        """Make a bucket of its own for a test; its name."""
        name = f"test-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name)
        return name

    def put(self, bucket: str, key: str, content: str | bytes) -> None:
        """Put an object."""
        self.client.put_object(Bucket=bucket, Key=key, Body=content)


@contextmanager
def local_s3(folder: Path, services: str = "s3") -> Iterator[S3]:
    """Run a local S3, and other services of AWS, on a free port, with their files in a folder."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": services,
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "ERROR",
        "DOCKER_HOST": f"unix://{folder}/no-docker",  # it would look for containers to remove
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "ministack"], env=environment, stdout=log, stderr=log)
    try:
        _wait_until_healthy(port, process)
        yield S3(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_healthy(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with suppress(OSError, HTTPException), closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/_ministack/health")
            if connection.getresponse().status == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError("the local S3 did not start")


@dataclass(frozen=True)
class FaultyS3(S3):
    """Another way to an S3, for objects and listings, on which things go wrong as told."""

    _faults: list[tuple[Fault, Request]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def inject(self, fault: Fault, times: int = 1, request: Request = "object") -> None:
        """Let the next requests for an object, or for a listing, go wrong."""
        with self._lock:
            self._faults.extend([(fault, request)] * times)

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()

    def left(self) -> int:
        """Faults that have not come about."""
        return len(self._faults)

    def take(self, request: Request) -> Fault | None:
        """Take the next fault for such a request."""
        with self._lock:
            for place, (fault, on) in enumerate(self._faults):
                if on == request:
                    del self._faults[place]
                    return fault
        return None


@contextmanager
def faulty_s3(behind: S3) -> Iterator[FaultyS3]:
    """Serve an S3 that goes wrong as told, in front of one that does not."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = faulty.take("listing" if "list-type=" in self.path else "object")
            if fault in REFUSALS:
                status, code = REFUSALS[fault]
                body = f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()
                self._answer(status, [("Content-Type", "application/xml")], len(body), body)
                return
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                return
            if fault == "slow":
                time.sleep(SLOW_SECONDS)
            with closing(HTTPConnection(behind.endpoint.removeprefix("http://"), timeout=30)) as connection:
                connection.request(self.command, self.path, sent, dict(self.headers))
                answer = connection.getresponse()
                body = answer.read()
            whole = len(body)
            if fault == "truncated":
                body, self.close_connection = body[: whole // 2], True
            if fault == "shortened":
                body = body[: whole // 2]
                whole = len(body)
            self._answer(answer.status, answer.getheaders(), whole, body)

        do_PUT = do_GET  # noqa: N815  as the server looks for it

        def _answer(self, status: int, headers: list[tuple[str, str]], length: int, body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in ("connection", "content-length", "date", "server", "transfer-encoding"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(OSError):  # who was to read it may have been killed
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        faulty = FaultyS3(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield faulty
        finally:
            server.shutdown()
            thread.join()
