import { amount, day, percent } from "../../parts/words";
import type { Claim } from "./claim";
import { WeekStrip } from "./WeekStrip";

/** The claim in a glance: how probable fraud is, where that stands in its week, and what is at stake. */
export function Head({ claim }: { claim: Claim }) {
  const { prediction, week } = claim;
  return (
    <header className="claim-head">
      <h1>
        Claim {claim.claim_id} <span className="soft">of {day(claim.event_time)}</span>
      </h1>
      {claim.withdrawn_at && <p className="bad">Withdrawn by its sender on {day(claim.withdrawn_at)}.</p>}
      {claim.outcome !== null && (
        <p>
          Decided: <strong className={claim.outcome ? "bad" : "good"}>{claim.outcome ? "fraud" : "not fraud"}</strong>
        </p>
      )}
      {prediction === null ? (
        <p>
          {claim.predictions.length > 0
            ? "The model that decides now has not scored this claim yet; what others gave it stands below."
            : "No model has scored this claim yet."}
        </p>
      ) : (
        <div className="figures">
          <dl>
            <div>
              <dt>Probability of fraud</dt>
              <dd>
                <strong>{percent(prediction.probability)}</strong>
                <span>
                  {prediction.flagged ? "flagged" : prediction.audited ? "drawn for the audit sample" : "not flagged"}
                </span>
              </dd>
            </div>
            {prediction.expected_loss !== null && prediction.stake !== null && (
              <div>
                <dt title="Probability of fraud times the amount">Expected loss</dt>
                <dd>
                  <strong>{amount(prediction.expected_loss, claim.amount_unit)}</strong>
                  <span>of {amount(prediction.stake, claim.amount_unit)} claimed</span>
                </dd>
              </div>
            )}
            {week && (
              <div>
                <dt>Place in its week</dt>
                <dd>
                  <strong>{week.rank}</strong>
                  <span>
                    of {week.claims} claims from {day(week.begins)}
                  </span>
                </dd>
              </div>
            )}
          </dl>
          {week && <WeekStrip counts={week.counts} probability={prediction.probability} />}
        </div>
      )}
    </header>
  );
}
