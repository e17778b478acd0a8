"""Generate a motor book as weekly drop files, to try Claimsight on without anybody's data.

**The book is generated**: no row describes a real person, policy, garage or claim, and a result on it says nothing
about a real book. ``python -m deploy.local.simulate --help`` says how; `deploy.local.simulate.write` what it writes,
`book` how a week comes about, `drift` what may change on the way.
"""

from deploy.local.simulate.write import Book, BookError, simulate

__all__ = ["Book", "BookError", "simulate"]
