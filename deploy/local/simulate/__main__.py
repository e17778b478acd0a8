"""Generate a book from the command line: ``python -m deploy.local.simulate --out DIR``."""

from __future__ import annotations

import signal
import sys
from datetime import date
from pathlib import Path

from deploy.local.simulate.book import DIRTY_SHARE
from deploy.local.simulate.drift import KINDS
from deploy.local.simulate.write import BookError, simulate
from shared.arguments import Parser


def main(arguments: list[str] | None = None) -> None:
    """Generate a book as the command line says and print one line about it.

    Parameters
    ----------
    arguments : list of str, optional
        The command line without the program's name; ``sys.argv`` by default.

    Raises
    ------
    SystemExit
        With 2, and one line on stderr, if the arguments are wrong.
    """
    parser = Parser(
        prog="python -m deploy.local.simulate",
        description="Generate a motor book as weekly drop files. No row describes a real person, policy or claim.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    parser.add_argument("--claims", type=int, default=26_000, help="claims in all (%(default)s)")
    parser.add_argument("--weeks", type=int, default=104, help="weeks in all (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same bytes (%(default)s)")
    parser.add_argument("--start", type=date.fromisoformat, default="2024-01-01", help="a Monday (%(default)s)")
    parser.add_argument("--dirty", type=float, default=DIRTY_SHARE, help="share of dirty rows (%(default)s)")
    parser.add_argument("--photos", type=float, default=0.0, help="share of claims with photo files (%(default)s)")
    parser.add_argument(
        "--drift",
        default="",
        metavar="KIND@WEEK,...",
        help=f"what changes from a week on, the first being 1: {', '.join(KINDS)}; such as covariate@60 (none)",
    )
    asked = parser.parse_args(arguments)
    try:
        book = simulate(**vars(asked))
    except BookError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        sys.exit("stopped; whole files only are left")
    print(f"{book}, in {asked.out}")


if __name__ == "__main__":
    # Like an exception, so that what is half written is removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
