"""Take out of an environment what no stage needs when it runs, and compile what is left.

::

    python3 trim.py /opt/venv

It halves an image: packages bring their tests, headers, sources of compiled modules, and symbols for a debugger.
"""

from __future__ import annotations

import compileall
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

FOLDERS = ("**/tests", "pyarrow/include", "pyarrow/src", "numpy/_core/include", "numpy/f2py/src")
FILES = ("**/*.pyx", "**/*.pxd", "**/*.pxi", "**/*.pyi", "**/*.[ach]", "**/*.cpp", "**/*.hpp")
PARTS = (
    "PIL/_avif*",  # of photos, etl takes JPEG, PNG and WebP
    "PIL/_imagingft*",  # and writes no text on them
    "PIL/_imagingtk*",
    *(f"pillow.libs/lib{name}-*" for name in ("avif", "brotlicommon", "brotlidec", "freetype", "harfbuzz", "png16")),
    "boto3/data",  # for its resources; the code asks clients
    "polars/testing",
    "pyarrow/*_cpp_tests*",
    "pyarrow/*flight*",
    "xgboost/spark",
    "xgboost/testing",
)
DASK = (
    "pyarrow/_[adfops]*.so",  # Parquet, data sets, other people's file systems; etl reads CSV with it
    "pyarrow/parquet",
    "xgboost/dask",
)
"""What XGBoost on Dask imports, and no stage without the group dask."""
LINKED_ONLY = ("libarrow_acero", "libarrow_dataset", "libarrow_substrait", "libparquet")
"""The rest of pyarrow names these to the loader and takes no symbol from them; its core can stand in."""
KEPT = ("numpy/_core/tests/_natype.py",)  # numpy.testing imports it, and scipy numpy.testing
SCIPY = {"_external", "_lib", "sparse", "special"}
"""Of scipy, what xgboost imports; scikit-learn needs the rest too."""
AWS = {"events", "s3", "signin", "sso", "sso-oidc", "sts"}
"""Of AWS, the services that are asked; all but the first two are ways to credentials."""
ELF = b"\x7fELF\x02\x01"
"""Start of a 64-bit little-endian binary."""


def main(environment: Path) -> None:
    """Trim it, in place."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    kept = {packages / name: (packages / name).read_bytes() for name in KEPT if (packages / name).exists()}
    for path in sorted(set(_superfluous(packages))):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    for path, content in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    for path in packages.rglob("*.so*"):
        _strip(path)
    _link_copies(packages)
    spare = () if _with_dask(packages) else LINKED_ONLY
    for path in [path for name in spare for path in packages.glob(f"pyarrow/{name}.so.*")]:
        path.unlink()
        path.symlink_to("libarrow" + "".join(path.suffixes))
    compileall.compile_dir(packages, quiet=2, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def _superfluous(packages: Path) -> Iterator[Path]:
    for pattern in FOLDERS + FILES + PARTS:
        yield from packages.glob(pattern)
    yield from (path for path in packages.glob("botocore/data/*/") if path.is_dir() and path.name not in AWS)
    if not _with_dask(packages):
        yield from (path for pattern in DASK for path in packages.glob(pattern))
    if not (packages / "sklearn").exists():
        yield from (path for path in packages.glob("scipy/[a-z_]*/") if path.is_dir() and path.name not in SCIPY)


def _with_dask(packages: Path) -> bool:
    return (packages / "distributed").exists()


def _strip(path: Path) -> None:
    """Cut off what lies behind all that the loader reads: symbols and sections, for debuggers and linkers only."""
    with path.open("r+b") as file:
        header = file.read(64)
        if path.is_symlink() or not header.startswith(ELF):
            return
        (table,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        end = table + size * count
        for number in range(count):
            file.seek(table + number * size)
            offset, in_file = struct.unpack_from("<8xQ16xQ", file.read(size))
            end = max(end, offset + in_file)
        # No section headers: their place, size, number, and that of their names.
        file.seek(40)
        file.write(bytes(8))
        file.seek(58)
        file.write(bytes(6))
        file.truncate(end)


def _link_copies(packages: Path) -> None:
    """Make copies of a library beside it links again: a wheel cannot hold links."""
    first: dict[tuple[Path, bytes], Path] = {}
    for path in sorted(packages.rglob("*.so*")):
        original = first.setdefault((path.parent, path.read_bytes()), path)
        if original is not path:
            path.unlink()
            path.symlink_to(original.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
