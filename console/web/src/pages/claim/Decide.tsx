import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { ask } from "../../api";
import { Trouble } from "../../parts/Trouble";
import { left } from "../../parts/words";
import { useSession } from "../../session";
import { type Claim, claimPath, VERDICTS, type Verdict } from "./claim";

const CHOICES = Object.entries(VERDICTS) as [Verdict, string][];
const TICK_MS = 30_000;

/** The form for a decision, and for a day after it the way back. */
export function Decide({ claim }: { claim: Claim }) {
  const { permissions } = useSession();
  const queries = useQueryClient();
  const ids = { note: useId(), head: useId() };
  const form = useRef<HTMLFormElement>(null);
  const refresh = () =>
    Promise.all([
      queries.invalidateQueries({ queryKey: ["claim", claim.claim_id] }),
      queries.invalidateQueries({ queryKey: ["worklist"] }),
    ]);
  const decide = useMutation({
    mutationFn: (body: { decision: string; note: string }) =>
      ask<unknown>(claimPath(claim.claim_id, "/decision"), { method: "POST", body }),
    onSuccess: () => {
      form.current?.reset();
      return refresh();
    },
  });
  const undo = useMutation({
    mutationFn: () => ask<unknown>(claimPath(claim.claim_id, "/undo"), { method: "POST" }),
    onSuccess: refresh,
  });
  if (!permissions.includes("decide")) return null;
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    undo.reset();
    decide.mutate({ decision: String(given.get("decision")), note: String(given.get("note")) });
  }
  const last = claim.decisions.findLast(({ undone_at }) => undone_at === null);
  return (
    <section aria-labelledby={ids.head} className="decide">
      <h2 id={ids.head}>Decision</h2>
      {last && claim.undo_until && (
        <div className="card">
          <p role="status">
            You decided: <strong>{VERDICTS[last.decision].toLowerCase()}</strong>.
          </p>
          <Undo until={claim.undo_until} waits={undo.isPending} undo={() => undo.mutate()} />
        </div>
      )}
      {undo.isSuccess && !claim.undo_until && <p role="status">Your decision is taken back.</p>}
      {undo.error && <Trouble error={undo.error} />}
      {claim.may_decide ? (
        <form ref={form} onSubmit={submit}>
          <fieldset>
            <legend>{last ? "Decide anew" : "What did you find?"}</legend>
            {CHOICES.map(([verdict, words]) => (
              <label key={verdict} className="choice">
                <input type="radio" name="decision" value={verdict} required />
                {words}
              </label>
            ))}
          </fieldset>
          <label htmlFor={ids.note}>
            Note
            <textarea id={ids.note} name="note" rows={3} maxLength={2000} />
          </label>
          <button type="submit" className="primary" disabled={decide.isPending}>
            Decide
          </button>
        </form>
      ) : (
        <p>Take the case to decide about it.</p>
      )}
      {decide.error && <Trouble error={decide.error} />}
    </section>
  );
}

function Undo({ until, waits, undo }: { until: string; waits: boolean; undo: () => void }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  if (now >= Date.parse(until)) return null;
  return (
    <button type="button" onClick={undo} disabled={waits}>
      Undo ({left(until, now)} left)
    </button>
  );
}
