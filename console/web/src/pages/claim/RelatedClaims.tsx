import { Link } from "react-router";
import { Trouble } from "../../parts/Trouble";
import { day, percent } from "../../parts/words";
import { type Related, type Trail, useRelated } from "./claim";
import { RelatedGraph } from "./RelatedGraph";

/** Claims that share a claimant, garage or the like with this one. */
export function RelatedClaims({ claimId, ticket, trail }: { claimId: string; ticket: number; trail: Trail }) {
  const { data, error } = useRelated(claimId, ticket);
  return (
    <section aria-labelledby="related">
      <h2 id="related">Related claims</h2>
      {error && <Trouble error={error} />}
      {!error && !data && <p role="status">Loading…</p>}
      {data && <Found claimId={claimId} related={data} trail={trail} />}
    </section>
  );
}

/** Says what is shared, as `same garage (G155)`. */
export function sharing(related: Related, shares: string[]): string {
  return related.entities
    .filter(({ name }) => shares.includes(name))
    .map(({ title, value }) => (value === null ? `same ${title}` : `same ${title} (${value})`))
    .join(", ");
}

/** Says what became of a claim. */
export function became(outcome: boolean | null): string {
  return outcome === null ? "not decided" : outcome ? "fraud" : "not fraud";
}

function Found({ claimId, related, trail }: { claimId: string; related: Related; trail: Trail }) {
  if (related.entities.length === 0) return <p>The contract names nothing that claims could share.</p>;
  const alone = related.entities.filter(({ shared }) => !shared).map(({ title }) => title);
  return (
    <>
      {alone.length > 0 && <p>No other claim is known with the same {listed(alone)}.</p>}
      {related.claims.length > 0 && (
        <>
          <RelatedGraph claimId={claimId} related={related} trail={trail} />
          <details>
            <summary>As a table</summary>
            <div className="scroll">
              <table>
                <caption>
                  The newest claims that share something with this one; at most 10 for each thing shared.
                </caption>
                <thead>
                  <tr>
                    <th scope="col">Claim</th>
                    <th scope="col">Day</th>
                    <th scope="col">Shared</th>
                    <th scope="col" className="number">
                      Probability
                    </th>
                    <th scope="col">Decided</th>
                  </tr>
                </thead>
                <tbody>
                  {related.claims.map((claim) => (
                    <tr key={claim.claim_id}>
                      <th scope="row">
                        <Link to={`/claims/${encodeURIComponent(claim.claim_id)}`} state={trail}>
                          {claim.claim_id}
                        </Link>
                      </th>
                      <td>{day(claim.event_time)}</td>
                      <td>{sharing(related, claim.shares)}</td>
                      <td className="number">{claim.probability === null ? "no score" : percent(claim.probability)}</td>
                      <td>{became(claim.outcome)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          </details>
        </>
      )}
    </>
  );
}

function listed(words: string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
