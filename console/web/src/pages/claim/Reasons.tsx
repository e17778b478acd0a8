import type { Prediction } from "./claim";

const FACTOR = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** Why the model says so: each reason in words, with its direction and how much it weighs. */
export function Reasons({ prediction }: { prediction: Prediction | null }) {
  const reasons = prediction?.reasons ?? [];
  const most = Math.max(...reasons.map(({ log_odds }) => Math.abs(log_odds ?? 0)), 1e-9);
  return (
    <section aria-labelledby="reasons">
      <h2 id="reasons">Reasons</h2>
      {reasons.length === 0 ? (
        <p>{without(prediction)}</p>
      ) : (
        <ol className="reasons">
          {reasons.map(({ text, direction, log_odds }) => (
            <li key={text}>
              <p>{text}</p>
              <div className="weight">
                <span className="rail">
                  <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" className={direction}>
                    <rect width={(100 * Math.abs(log_odds ?? 0)) / most} height="8" />
                  </svg>
                </span>
                {log_odds !== null && (
                  <span className="soft" title="How the odds of fraud change by this alone, in the model">
                    odds {log_odds > 0 ? "×" : "÷"} {FACTOR.format(Math.exp(Math.min(Math.abs(log_odds), 50)))}
                  </span>
                )}
              </div>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function without(prediction: Prediction | null): string {
  if (prediction === null) return "There are none yet.";
  return prediction.flagged || prediction.audited
    ? "No reason for this probability may be shown."
    : "Reasons are given for claims that are flagged or drawn for the audit sample, and this one is neither.";
}
