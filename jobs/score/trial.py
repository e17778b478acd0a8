"""Score with the champion, and beside it with the refused challenger, which decides where the contract lets it."""

from __future__ import annotations

from dataclasses import replace

from jobs.score.unscored import CHAMPIONS, Done, Scorer, Scores, score_all
from shared.challenger import Contender
from shared.champion import Champion, Judged
from shared.claims import no_claims
from shared.database import quoted
from shared.draws import AUDIT_DRAW, DRAWS, SPLIT_DRAW, Arm, arm_draw
from shared.errors import ClaimsightError, ModelError
from shared.job import Job


class Pair:
    """The champion and its contender at work, for one run.

    Parameters
    ----------
    contender : Contender or None
        As :func:`shared.challenger.contender` finds it.
    """

    def __init__(self, job: Job, standing: Champion, contender: Contender | None) -> None:
        self._job, self._standing, self._contender = job, standing, contender
        wanted = job.contract.challenger
        self._share = contender.share(job.contract) if contender else 0.0
        self._shadow = contender is not None and (wanted.shadow or wanted.share > 0)

    def champion(self) -> Done:
        """Score what the champion has not scored, and settle in which arm each claim stands."""
        claimant = self._job.contract.roles.claimant
        drawn = arm_draw(quoted(claimant) if claimant else None)
        scores = replace(
            CHAMPIONS,
            # Under another champion the contender may have scored a claim. It does not do so again: the arm that its
            # row tells stays, or the row of neither arm would decide.
            joins="LEFT JOIN predictions k ON k.claim_id = c.claim_id AND k.variant = 'challenger' "
            "AND k.model_version = %(contender)s",
            extra={"draw": (AUDIT_DRAW, "integer"), "arm_draw": (drawn, "integer"), "kept_arm": ("k.arm", "text")},
            values={"contender": self._contender.version if self._contender else None},
        )
        return score_all(self._job, scores, self._standing.version, self._settling)

    def challenger(self) -> Done:
        """Score beside it what the contender did not learn from, or decides about.

        A contender that cannot be read scores nothing, which is logged.
        """
        contender = self._contender
        if contender is None or not self._shadow:
            return Done()
        scores = Scores(
            "predictions",
            "p.variant = 'challenger'",
            "JOIN predictions q ON q.claim_id = c.claim_id AND q.variant = 'champion' "
            "AND q.model_version = %(standing)s",
            f"(q.arm = 'challenger' OR %(shadow)s AND (c.event_time > %(train_end)s OR {SPLIT_DRAW} < %(below)s))",
            {"draw": (AUDIT_DRAW, "integer"), "arm": ("q.arm", "text")},
            {
                "standing": self._standing.version,
                "shadow": self._job.contract.challenger.shadow,
                "train_end": contender.train_end,
                "below": (contender.judged_share or 0.0) * DRAWS,
            },
        )
        try:
            return score_all(self._job, scores, contender.version, lambda: self._deciding(contender, "challenger"))
        except ModelError as error:
            self._job.log("the challenger scores nothing", model_version=contender.version, reason=str(error))
            return Done()

    def _settling(self) -> Scorer:
        """Decide for the champion, and put each claim into an arm; into the challenger's only if that can decide."""
        from shared.predict import arms

        champion = self._deciding(self._standing, "champion")
        share = self._share if self._share and self._is_ready() else 0.0
        return replace(
            champion,
            decide=lambda claims: champion.decide(
                claims.with_columns(arm=arms(claims["arm_draw"], share, claims["kept_arm"]))
            ),
        )

    def _is_ready(self) -> bool:
        """Whether the contender can be read and knows all that it looks at; else no claim must wait for it."""
        assert self._contender is not None
        try:
            self._contender.model.known(no_claims(self._job.contract))
        except ClaimsightError as error:
            self._job.log("the challenger decides about no claim", reason=str(error))
            return False
        return True

    def _deciding(self, judged: Judged, arm: Arm) -> Scorer:
        # Most runs find nothing to score; numpy and the model are for those that do.
        from shared import peers
        from shared.predict import audit_share, predict
        from shared.reasons import Explainer

        model, threads = judged.model, self._job.settings.threads
        explainer = Explainer(model.features, self._job.contract, peers.load(judged.folder))
        # Of both arms by the champion's volume, so that the same claims are audited whoever decides.
        volume = self._standing.metrics["claims_per_week"]
        audited = audit_share(self._job.contract.review.capacity_per_week, volume)
        return Scorer(
            lambda claims: predict(claims, model, judged.threshold, audited, explainer, threads, arm),
            peers.looked_at(model.features, self._job.contract),
        )
