"""Passwords of local users: argon2id, reckoned in threads, a few at a time."""

from __future__ import annotations

import secrets
import string
import unicodedata

from anyio import CapacityLimiter, to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from console.api.problems import ProblemError

SHORTEST, LONGEST = 12, 256
"""Characters: NIST SP 800-63B-4, 2025, asks for 15 where a password stands alone, for 8 at the least."""
FEWEST_KINDS = 5
"""Characters of a password that differ; fewer are a pattern that is guessed first."""
AT_ONCE, WAITING = 2, 16
"""Passwords that are reckoned at once, each some 30 ms of a core and 19 MB; and requests that may wait for it."""
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""After OWASP's Password Storage Cheat Sheet. By one thread each: four, as is argon2-cffi's own default, would take the
cores from whoever works."""
NOBODY = HASHER.hash(secrets.token_hex())
"""Held against the password where nobody has the login, so that it takes as long."""
_PLAIN = "".join(sorted({*string.ascii_letters, *string.digits} - {*"0OoIl1"}))


def faults(password: str, login: str) -> list[str]:
    """Tell what stands against a new password.

    >>> faults("anna", "anna")
    ['has fewer than 12 characters', 'contains the login', 'repeats a few characters']
    >>> faults("a garage, a phone", "anna")
    []
    """
    found = []
    if len(password) < SHORTEST:
        found.append(f"has fewer than {SHORTEST} characters")
    if len(password) > LONGEST:
        found.append(f"has more than {LONGEST} characters")
    if login.casefold() in password.casefold():
        found.append("contains the login")
    if len({*password.casefold()}) < FEWEST_KINDS:
        found.append("repeats a few characters")
    return found


def one_time() -> str:
    """Draw a password for handing over, of 95 random bits, that is read aloud without mistakes."""
    return "-".join("".join(secrets.choice(_PLAIN) for _ in range(4)) for _ in range(4))


def hash_now(password: str) -> str:
    """Make what is stored of a password; takes its time, so not for the event loop."""
    return HASHER.hash(_normal(password))


def needs_rehash(stored: str) -> bool:
    """Whether it was made with other parameters than are used now."""
    return HASHER.check_needs_rehash(stored)


class Passwords:
    """Reckons passwords beside the event loop; as many at once as leave the pages a core."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(AT_ONCE)

    async def stored(self, password: str) -> str:
        """Make what is stored of a password.

        Raises
        ------
        ProblemError
            503: too many wait already.
        """
        self._look()
        return await to_thread.run_sync(hash_now, password, limiter=self._limiter)

    async def fits(self, stored: str | None, password: str) -> bool:
        """Whether this is the password; takes as long where nothing is stored, and is False then.

        Raises
        ------
        ProblemError
            503: too many wait already.
        """
        self._look()
        return await to_thread.run_sync(_fits, stored or NOBODY, password, limiter=self._limiter) and stored is not None

    def _look(self) -> None:
        if self._limiter.statistics().tasks_waiting >= WAITING:
            raise ProblemError(503, "too many are signing in; try again in a moment", headers={"Retry-After": "3"})


def _fits(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, _normal(password))
    except (VerificationError, InvalidHashError):
        return False


def _normal(password: str) -> str:
    """Write it as one keyboard and another would: NIST SP 800-63B-4, section 3.1.1.2, has it normalised."""
    return unicodedata.normalize("NFKC", password)
