import { type FormEvent, useId, useState } from "react";
import { Trouble } from "../../parts/Trouble";

const PURPOSES = ["Case work", "Complaint of a customer", "Request of an authority", "Quality check", "Other"];
const OTHER = "Other";

/** Asks what somebody wants to see a claim for, before anything of it is shown. */
export function Purpose({
  claimId,
  error,
  open,
}: {
  claimId: string;
  error: unknown;
  open: (purpose: string) => void;
}) {
  const ids = { purpose: useId(), detail: useId(), hint: useId() };
  const [chosen, choose] = useState(PURPOSES[0] ?? OTHER);
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const detail = String(new FormData(event.currentTarget).get("detail")).trim();
    open([chosen, detail].filter((part) => part && part !== OTHER).join(": "));
  }
  return (
    <section className="purpose">
      <title>{`Claim ${claimId} · Claimsight`}</title>
      <h1>Claim {claimId}</h1>
      <p id={ids.hint}>What do you want to see it for? It is kept in the access log beside your name.</p>
      <form onSubmit={submit}>
        <label htmlFor={ids.purpose}>
          Purpose
          <select id={ids.purpose} value={chosen} onChange={(event) => choose(event.target.value)}>
            {PURPOSES.map((purpose) => (
              <option key={purpose}>{purpose}</option>
            ))}
          </select>
        </label>
        <label htmlFor={ids.detail}>
          {chosen === OTHER ? "In a few words" : "Details, such as a file number (not needed)"}
          <input
            id={ids.detail}
            name="detail"
            maxLength={400}
            minLength={chosen === OTHER ? 5 : 0}
            required={chosen === OTHER}
            aria-describedby={ids.hint}
            autoComplete="off"
          />
        </label>
        <button type="submit" className="primary">
          Open the claim
        </button>
      </form>
      {error !== null && error !== undefined && <Trouble error={error} />}
    </section>
  );
}
