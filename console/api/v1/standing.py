"""What holds at the moment: the champion, a stop of scoring, and what is usual; looked at beside requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime

from console.api.problems import ProblemError
from console.api.settings import ConsoleSettings
from console.api.store import Store
from console.api.v1.scoring import Live, warm
from shared import peers
from shared.champion import STANDING, Champion
from shared.contract import Contract
from shared.errors import ClaimsightError
from shared.logs import log
from shared.reasons import Explainer
from shared.stops import NEWEST, Stop, stop_of
from shared.usual import Usual

CHAMPION_SECONDS, USUAL_SECONDS = 2.0, 60.0
WARNING = 30


class Standing:
    """Keeps it; ``async with`` :meth:`watched` looks at it again and again.

    A new champion is read while requests go on with the one before, and then takes its place.
    """

    def __init__(self, store: Store, settings: ConsoleSettings, contract: Contract) -> None:
        self._store, self._settings, self._contract = store, settings, contract
        self._live: Live | None = None
        self._seen: Champion | None = None
        self._stop: Stop | None = None
        self._failure = ""
        self.usual = Usual.of([])

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look now, and from now on; what cannot be had yet is looked for again."""
        looks = ((self.look, CHAMPION_SECONDS), (self._look_at_usual, USUAL_SECONDS))
        for look, _ in looks:
            await self._tried(look)
        watching = [asyncio.create_task(self._again(look, seconds)) for look, seconds in looks]
        try:
            yield
        finally:
            for task in watching:
                task.cancel()
            for task in watching:
                with suppress(asyncio.CancelledError):
                    await task

    def live(self) -> Live:
        """Give the champion that is ready.

        Raises
        ------
        ProblemError
            503: there is none, or scoring is stopped.
        """
        if self._stop is not None:
            raise ProblemError(503, f"{self._stop.told(self._contract.name)}; try again when that is over")
        live = self.champion()
        if live is None:
            raise ProblemError(
                503, "no model has been promoted yet, so no claim can be scored", headers={"Retry-After": "60"}
            )
        return live

    def champion(self) -> Live | None:
        """Give the champion that is ready, also while scoring is stopped; None where none was promoted yet.

        Raises
        ------
        ProblemError
            503: there is one, but it cannot be used.
        """
        if self._live is None and self._failure:
            raise ProblemError(503, self._failure, headers={"Retry-After": "60"})
        return self._live

    async def usual_as_of(self, moment: datetime) -> Usual:
        """Sum up all days as they were known at a moment."""
        rows = await self._store.rows("SELECT * FROM api_daily_sums(%s)", [moment])
        return await asyncio.to_thread(lambda: Usual.of((r["day"], r["kind"], r["one"], r["other"]) for r in rows))

    async def look(self) -> None:
        """See which champion holds, and whether score is stopped."""
        moment = [self._settings.now()]
        found = await self._store.rows(STANDING, moment)
        self._stop = stop_of(await self._store.rows(NEWEST, moment))
        seen = Champion(**found[0]) if found else None
        if seen == self._seen:
            return
        if seen is None:
            self._live, self._seen, self._failure = None, None, ""
            return
        try:
            live = await asyncio.to_thread(self._read, seen)
        except ClaimsightError as error:
            # It may be mended; until then the one before goes on.
            if str(error) != self._failure:
                log(WARNING, "the champion cannot be used", version=seen.version, reason=str(error))
            self._failure = str(error)
            return
        self._live, self._seen, self._failure = live, seen, ""

    def _read(self, champion: Champion) -> Live:
        model = champion.model
        live = Live(champion, model, Explainer(model.features, self._contract, peers.load(champion.folder)))
        warm(live, self._contract)  # says whether it fits, and has the first claim not wait
        return live

    async def _look_at_usual(self) -> None:
        self.usual = await self.usual_as_of(self._settings.now())

    async def _again(self, look: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await self._tried(look)

    @staticmethod
    async def _tried(look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except Exception as error:  # whatever it is, it may be over at the next look
            log(WARNING, "what holds at the moment cannot be looked at", reason=type(error).__name__)
