import { moment, percent, told } from "../../parts/words";
import { type Claim, VERDICTS } from "./claim";

type Event = { at: string; text: string; more?: string[]; note?: string | null; by?: string };

/** What was known when: versions, scores, outcomes, decisions and what was done with the case, in the order of their moments. */
export function Timeline({ claim }: { claim: Claim }) {
  return (
    <section aria-labelledby="timeline">
      <h2 id="timeline">What was known when</h2>
      <ol className="timeline">
        {events(claim).map((event) => (
          <li key={`${event.at} ${event.text}`}>
            <time dateTime={event.at}>{moment(event.at)}</time>
            <div>
              <p>{event.text}</p>
              {event.more && event.more.length > 0 && (
                <ul>
                  {event.more.map((line) => (
                    <li key={line}>{line}</li>
                  ))}
                </ul>
              )}
              {event.note && <blockquote>{event.note}</blockquote>}
            </div>
          </li>
        ))}
      </ol>
    </section>
  );
}

function events(claim: Claim): Event[] {
  const found: Event[] = claim.versions.map(({ revision, known_at, event_time, moved, changes }) => ({
    at: known_at,
    text: revision === 1 ? "The claim became known." : "The claim was corrected.",
    more: [
      ...(moved ? [`it happened on ${moment(event_time)}`] : []),
      ...changes.map(
        ({ title, value, before, unit, dtype }) =>
          `${title}: ${told(before, unit, dtype)} → ${told(value, unit, dtype)}`,
      ),
    ],
  }));
  if (claim.withdrawn_at) found.push({ at: claim.withdrawn_at, text: "Its sender withdrew the claim." });
  for (const { known_at, name } of claim.photos.filter(({ known_at }) => known_at !== claim.versions[0]?.known_at)) {
    found.push({ at: known_at, text: `Photo ${name} came.` });
  }
  for (const { scored_as_of, model_version, decides, probability, flagged, audited } of claim.predictions) {
    const drawn = flagged ? ", flagged" : audited ? ", drawn for the audit sample" : "";
    const beside = decides ? "" : ", for comparison only";
    found.push({ at: scored_as_of, text: `Model ${model_version} gave ${percent(probability)}${drawn}${beside}.` });
  }
  // What was decided here stands among the decisions.
  for (const { known_at, is_fraud, source } of claim.outcomes.filter(({ by }) => by === null)) {
    found.push({ at: known_at, text: `Outcome from ${source}: ${is_fraud ? "fraud" : "not fraud"}.` });
  }
  for (const { at, by, decision, note, undone_at } of claim.decisions) {
    found.push({ at, text: `${by} decided: ${VERDICTS[decision].toLowerCase()}.`, note });
    if (undone_at) found.push({ at: undone_at, text: `${by} took that back: ${VERDICTS[decision].toLowerCase()}.` });
  }
  for (const { at, by, action, to, until, note } of claim.case.steps) {
    const text = {
      assigned: `${by} assigned the case to ${to ?? "nobody"}.`,
      snoozed: `${by} snoozed the case until ${until && moment(until)}.`,
      escalated: `${by} escalated the case.`,
    }[action];
    found.push({ at, text, note });
  }
  return found.toSorted((one, other) => Date.parse(one.at) - Date.parse(other.at));
}
