"""Gather the claims that wait for a score, decide about them together, and answer each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import polars as pl

from console.api.keys import Key, Scope
from console.api.problems import ProblemError
from console.api.settings import ConsoleSettings
from console.api.store import Store
from console.api.v1 import scoring
from console.api.v1.scoring import Live, Past, Score
from console.api.v1.standing import Standing
from shared.contract import Contract
from shared.errors import ModelError
from shared.json_cells import Row
from shared.logs import log
from shared.pseudonyms import Pseudonyms
from shared.usual import Usual

MOST_TOGETHER = 32
"""Claims that are scored at once: so many take little longer than one."""
MOST_WAITING = 512
"""Requests that may wait; at a few milliseconds each that is longer than anyone would."""
ERROR = 40
Found = TypeVar("Found")


@dataclass(frozen=True)
class Waiting:
    """A claim that waits, and whoever waits for it."""

    key: Key
    row: Row
    answer: asyncio.Future[dict[str, Any]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Scores:
    """Scores claims; ``async with`` :meth:`at_work` has it do so.

    All that wait are taken together, at first one and under load more: a query of Polars or a call of XGBoost costs for
    twenty claims what it costs for one. The model's work, of which a large one has much, is done by one thread of its
    own, so that requests are taken in meanwhile; to check claims takes less long than two threads wait for each other.
    One batch after the other: two at once share that thread, and each claim waits longer.
    """

    def __init__(self, store: Store, standing: Standing, settings: ConsoleSettings, contract: Contract) -> None:
        secret = settings.pseudonym_key
        self._pseudonyms = Pseudonyms(secret.get_secret_value().encode()) if secret is not None else None
        self._store, self.standing, self._settings, self.contract = store, standing, settings, contract
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(MOST_WAITING)
        self._thread = ThreadPoolExecutor(1, "scores")

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Score what comes."""
        worker = asyncio.create_task(self._work())
        try:
            yield
        finally:
            worker.cancel()
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def score(self, key: Key, row: Row) -> dict[str, Any]:
        """Score a claim.

        Returns
        -------
        dict
            As ``POST /v1/score`` answers.

        Raises
        ------
        ProblemError
            422: it breaks the contract, each mistake by itself, or nothing is known of it. 503: there is no champion,
            scoring is stopped, too many wait, or there is no key for pseudonyms.
        """
        self.standing.live()
        if self.contract.personal and self._pseudonyms is None:
            raise ProblemError(
                503, "the console was given no key for pseudonyms, by which the past of a claim is known"
            )
        waiting = Waiting(key, row)
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise ProblemError(503, "too many claims wait; send this one again", headers={"Retry-After": "1"}) from None
        return await waiting.answer

    async def past(
        self, claims: pl.DataFrame, moment: datetime, version: int, usual: Usual, keys: Sequence[Key], scope: Scope
    ) -> list[Past]:
        """Look up the past of claims; that they are scored is entered with it, or before it for the scope ``check``."""
        asked = scoring.asked(claims, self.contract, usual)
        found = await self._ask(asked, moment, version, keys, scope, entered=scope == "check")
        days = [row["at"].date() for row in found]
        if days != [event.date() for event in claims["event_time"]]:  # stored with an earlier event than is told now
            asked = scoring.asked(claims, self.contract, usual, days)
            found = await self._ask(asked, moment, version, keys, scope, entered=True)
        return [row["past"] for row in found]

    async def on_thread(self, work: Callable[[], Found]) -> Found:
        """Do something that needs the processor."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _ask(
        self,
        asked: list[dict[str, Any]],
        moment: datetime,
        version: int,
        keys: Sequence[Key],
        scope: Scope,
        *,
        entered: bool,
    ) -> list[dict[str, Any]]:
        named = [
            {**claim, "key": key.key_id, "system": key.system, "scope": scope, "entered": entered}
            for claim, key in zip(asked, keys, strict=True)
        ]
        rows = await self._store.rows("SELECT * FROM api_past(%s, %s, %s)", [moment, version, json.dumps(named)])
        return sorted(rows, key=lambda row: row["place"])

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < MOST_TOGETHER and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._answer(batch)

    async def _answer(self, batch: list[Waiting]) -> None:
        try:
            await self._decide(batch)
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for waiting in batch:  # whatever one of them does must not be the others' end
                if not waiting.answer.done():
                    await self._answer([waiting])

    async def _decide(self, batch: list[Waiting]) -> None:
        if not batch:
            return
        live, usual, moment, contract = (
            self.standing.live(),
            self.standing.usual,
            self._settings.now(),
            self.contract,
        )
        rows = [waiting.row for waiting in batch]
        tables = {table: await self._reference(rows, table) for table in contract.reference}
        checked = scoring.check(rows, contract, self._pseudonyms, tables, moment)
        for place, faults in checked.faults.items():
            _refuse(batch[place], "the claim breaks the contract", faults)
        if checked.claims.is_empty():
            return
        places = checked.claims["file_line"].to_list()
        claims, keys = checked.claims, [batch[place].key for place in places]
        past = await self.past(claims, moment, live.champion.version, usual, keys, "score")
        scores = await self.on_thread(partial(scoring.score, claims, past, live, contract))
        for place, scored in zip(places, scores, strict=True):
            if scored.unscorable:
                _refuse(batch[place], f"the claim cannot be scored: {scored.unscorable}", [])
            elif not batch[place].answer.done():
                batch[place].answer.set_result(told(scored, live, contract, moment))

    async def _reference(self, rows: Sequence[Row], table: str) -> pl.DataFrame:
        asked = scoring.reference_keys(rows, self.contract, table, self._pseudonyms)
        found = await self._store.rows("SELECT api_reference(%s, %s) AS row", [table, [*asked]])
        return scoring.reference_rows([row["row"] for row in found], self.contract, table, asked)


def told(scored: Score, live: Live, contract: Contract, moment: datetime) -> dict[str, Any]:
    """Write an answer."""
    return {
        "claim_id": scored.claim_id,
        "fraud_probability": scored.fraud_probability,
        "flagged": scored.flagged,
        "threshold": live.champion.threshold,
        "model_version": live.champion.version,
        "reasons": scored.reasons,
        "scored_at": moment.isoformat(),
        "contract_hash": contract.hash,
    }


def _refuse(waiting: Waiting, why: str, faults: Sequence[dict[str, str]]) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(ProblemError(422, why, faults))


def _fail(waiting: Waiting, error: Exception) -> None:
    if isinstance(error, ModelError):
        log(ERROR, "the champion cannot be used", reason=str(error))
        error = ProblemError(503, "the champion does not fit the contract; a new one is needed")
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
