"""Pack the launcher for Lambda: ``python -m deploy.launcher.pack OUT.zip``. The same code makes the same bytes.

The one table of events and the one of exit codes are copied in, under the names by which they are imported here.
"""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

ROOT = Path(__file__).parents[2]
SHARED = ("__init__.py", "choreography.py", "errors.py")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The first moment that the format can tell."""


def pack() -> bytes:
    """The zip: packages ``launcher`` and ``shared``.

    Nothing is compressed, since other versions of zlib would do it otherwise.
    """
    own = sorted(path for path in Path(__file__).parent.glob("*.py") if path.name != Path(__file__).name)
    members = [(f"launcher/{path.name}", path) for path in own]
    members += [(f"shared/{name}", ROOT / "shared" / name) for name in SHARED]
    packed = io.BytesIO()
    with ZipFile(packed, "w", ZIP_STORED) as archive:
        for name, path in members:
            entry = ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, also where it is packed on another
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes().replace(b"\r\n", b"\n"))
    return packed.getvalue()


def digest(packed: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(packed).hexdigest()


def main() -> None:
    """Write the file that the command line names, and say its digest."""
    parser = argparse.ArgumentParser(prog="python -m deploy.launcher.pack", description="Pack the launcher for Lambda.")
    parser.add_argument("out", type=Path, metavar="OUT.zip")
    out = parser.parse_args().out
    packed = pack()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(packed)
    print(f"{out} {len(packed)} bytes sha256:{digest(packed)}")


if __name__ == "__main__":
    main()
