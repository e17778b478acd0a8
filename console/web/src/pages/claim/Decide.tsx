import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { ask } from "../../api";
import { useChange } from "../../change";
import { Trouble } from "../../parts/Trouble";
import { left } from "../../parts/words";
import { useSession } from "../../session";
import { type Claim, claimPath, VERDICTS, type Verdict } from "./claim";

const CHOICES = Object.entries(VERDICTS) as [Verdict, string][];
const TICK_MS = 30_000;

/** Notes that are not sent yet, by person and claim: they outlast a look at another claim, and a session that ended. */
const drafts = new Map<string, string>();

/** The form for a decision, and for a day after it the way back. */
export function Decide({ claim }: { claim: Claim }) {
  const { permissions, login } = useSession();
  const queries = useQueryClient();
  const ids = { note: useId(), head: useId() };
  const form = useRef<HTMLFormElement>(null);
  const draft = `${login} ${claim.claim_id}`;
  const [note, setNote] = useState(drafts.get(draft) ?? "");
  const write = (text: string) => {
    drafts.set(draft, text);
    setNote(text);
  };
  const refresh = () =>
    Promise.all([
      queries.invalidateQueries({ queryKey: ["claim", claim.claim_id] }),
      queries.invalidateQueries({ queryKey: ["worklist"] }),
    ]);
  const decide = useChange({
    mutationFn: (body: { decision: string; note: string }) =>
      ask<unknown>(claimPath(claim.claim_id, "/decision"), { method: "POST", body }),
    onSuccess: () => {
      form.current?.reset();
      write("");
    },
    // Also where it failed: the case may be another's by now.
    onSettled: refresh,
  });
  const undo = useChange({
    mutationFn: (decision_id: number) =>
      ask<unknown>(claimPath(claim.claim_id, "/undo"), { method: "POST", body: { decision_id } }),
    onSettled: refresh,
  });
  if (!permissions.includes("decide")) return null;
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    undo.reset();
    decide.mutate({ decision: String(given.get("decision")), note });
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
          <Undo until={claim.undo_until} waits={undo.isPending} undo={() => undo.mutate(last.decision_id)} />
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
            <textarea
              id={ids.note}
              rows={3}
              maxLength={2000}
              value={note}
              onChange={(event) => write(event.target.value)}
            />
          </label>
          <button type="submit" className="primary" disabled={decide.isPending}>
            Decide
          </button>
        </form>
      ) : (
        <p>Take the case to decide {last ? "anew" : "about it"}.</p>
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
