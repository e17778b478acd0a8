import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useState } from "react";
import { ask } from "../../api";
import { useChange } from "../../change";
import { Trouble } from "../../parts/Trouble";
import { moment } from "../../parts/words";
import { useSession } from "../../session";
import { useNextCase } from "../worklist/next";
import type { Claim } from "./claim";

const RENEW_MS = 5 * 60_000;
const DAY_MS = 86_400_000;

type Step = {
  verb: "take" | "release" | "snooze" | "escalate";
  body?: { until?: string; note: string | null };
};

/** Who works the claim, and what can be done with the case; its lock is renewed while the page is open. */
export function Case({ claim, list }: { claim: Claim; list: string }) {
  const { permissions } = useSession();
  const queries = useQueryClient();
  const [asking, setAsking] = useState<"snooze" | "escalate" | null>(null);
  const id = claim.claim_id;
  const mine = claim.holder?.mine === true;
  const path = `/api/cases/${encodeURIComponent(id)}`;
  const next = useNextCase(list);
  const step = useChange({
    mutationFn: ({ verb, body }: Step) => ask<unknown>(`${path}/${verb}`, { method: "POST", body: body ?? {} }),
    onSuccess: () => setAsking(null),
    // Also where it failed: somebody else may have the case.
    onSettled: () => {
      queries.invalidateQueries({ queryKey: ["worklist"] });
      return queries.invalidateQueries({ queryKey: ["claim", id] });
    },
  });
  const { mutate } = step;
  const { mutate: renew, error: lost } = useMutation({
    mutationFn: () => ask<unknown>(`${path}/renew`, { method: "POST" }),
    onError: () => queries.invalidateQueries({ queryKey: ["claim", id] }),
  });
  useEffect(() => {
    if (!mine) return;
    const timer = setInterval(renew, RENEW_MS);
    return () => clearInterval(timer);
  }, [mine, renew]);
  const may = permissions.includes("decide");
  return (
    <section aria-label="Case" className="case card">
      <p role="status">{standing(claim)}</p>
      {may && (
        <div className="buttons">
          {claim.holder === null && (
            <button
              type="button"
              className={claim.outcome === null ? "primary" : undefined}
              onClick={() => mutate({ verb: "take" })}
              disabled={step.isPending}
            >
              Take the case
            </button>
          )}
          {!mine && (
            <button
              type="button"
              className={claim.outcome === null ? undefined : "primary"}
              onClick={() => next.mutate()}
              disabled={next.isPending}
            >
              Take the next case
            </button>
          )}
          {mine && (
            <>
              <button type="button" onClick={() => mutate({ verb: "release" })} disabled={step.isPending}>
                Release
              </button>
              <button type="button" onClick={() => setAsking("snooze")} aria-expanded={asking === "snooze"}>
                Snooze
              </button>
              <button type="button" onClick={() => setAsking("escalate")} aria-expanded={asking === "escalate"}>
                Escalate
              </button>
            </>
          )}
        </div>
      )}
      {asking && (
        <Ask
          key={asking}
          what={asking}
          waits={step.isPending}
          send={(body) => mutate({ verb: asking, body })}
          close={() => setAsking(null)}
        />
      )}
      {[step.error, next.error, lost].map((error) => error && <Trouble key={error.message} error={error} />)}
    </section>
  );
}

/** Says who has the case, and what was done with it before. */
function standing({ holder, outcome, case: stands }: Claim): string {
  const { assigned_to, snoozed_until, escalated, steps } = stands;
  const why = steps.findLast(({ action }) => action === "escalated")?.note;
  return [
    holder === null
      ? outcome === null
        ? "Nobody has taken this case."
        : "This case is decided."
      : holder.mine
        ? "You have taken this case; nobody else can while this page is open."
        : `${holder.name} has this case until ${moment(holder.until)}.`,
    assigned_to !== null && `It is assigned to ${assigned_to}.`,
    snoozed_until !== null && `It is snoozed until ${moment(snoozed_until)}.`,
    escalated && `It is escalated: ${why}`,
  ]
    .filter(Boolean)
    .join(" ");
}

function Ask({
  what,
  waits,
  send,
  close,
}: {
  what: "snooze" | "escalate";
  waits: boolean;
  send: (body: { until?: string; note: string | null }) => void;
  close: () => void;
}) {
  const ids = { days: useId(), note: useId() };
  const escalates = what === "escalate";
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const note = String(given.get("note")).trim() || null;
    const until = new Date(Date.now() + Number(given.get("days")) * DAY_MS).toISOString();
    send(escalates ? { note } : { note, until });
  }
  return (
    <form onSubmit={submit} className="asked">
      {!escalates && (
        <label htmlFor={ids.days}>
          Days until it comes back
          <input id={ids.days} name="days" type="number" min={1} max={90} defaultValue={7} required />
        </label>
      )}
      <label htmlFor={ids.note}>
        {escalates ? "Why you pass the case on" : "Note (not needed)"}
        <textarea id={ids.note} name="note" rows={2} maxLength={2000} required={escalates} />
      </label>
      <div className="buttons">
        <button type="submit" className="primary" disabled={waits}>
          {escalates ? "Escalate" : "Snooze"}
        </button>
        <button type="button" onClick={close}>
          Cancel
        </button>
      </div>
    </form>
  );
}
