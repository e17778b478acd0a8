import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { Link } from "react-router";
import { Trouble } from "../../parts/Trouble";
import { type Alert, useCase } from "./alerts";
import { caseWork, standing } from "./words";

type Step = "assign" | "snooze" | "escalate";
const TITLES: Record<Step, string> = { assign: "Assign", snooze: "Snooze", escalate: "Escalate" };
const DAY_MS = 86_400_000;

type Props = { alert: Alert; list: string; names: Record<string, string>; login: string; onDone: () => void };

/** What can be done with the active case without opening it. */
export function CaseActions({ alert, list, names, login, onDone }: Props) {
  const act = useCase();
  const [step, setStep] = useState<Step | null>(null);
  const claim = alert.claim_id;
  const { sort } = standing(alert, login, names);
  const mine = alert.held_by === login;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was said of one case is not of the next
  useEffect(() => act.reset(), [claim]);
  return (
    <section className="case-actions" aria-label={`Case ${claim}`}>
      <Link to={`/claims/${encodeURIComponent(claim)}`} {...caseWork(list, login)}>
        {claim}
      </Link>
      <button
        type="button"
        disabled={sort === "others" || act.isPending}
        onClick={() => act.mutate({ claim, step: mine ? "release" : "take" })}
      >
        {mine ? "Let go" : "Take"}
      </button>
      {(Object.keys(TITLES) as Step[]).map((one) => (
        <button key={one} type="button" disabled={sort === "others"} onClick={() => setStep(one)}>
          {TITLES[one]}…
        </button>
      ))}
      {act.error && <Trouble error={act.error} />}
      {step && (
        <StepDialog
          key={`${claim} ${step}`}
          claim={claim}
          step={step}
          names={names}
          close={() => {
            setStep(null);
            onDone();
          }}
        />
      )}
    </section>
  );
}

type DialogProps = { claim: string; step: Step; names: Record<string, string>; close: () => void };

function StepDialog({ claim, step, names, close }: DialogProps) {
  const ids = { title: useId(), to: useId(), until: useId(), note: useId() };
  const act = useCase();
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const note = String(form.get("note")).trim() || null;
    const body = {
      assign: { to: String(form.get("to")) || null, note },
      snooze: { until: new Date(Date.now() + Number(form.get("until")) * DAY_MS).toISOString(), note },
      escalate: { note },
    }[step];
    act.mutate({ claim, step, body }, { onSuccess: close });
  }
  return (
    <dialog ref={dialog} aria-labelledby={ids.title} onClose={close}>
      <form onSubmit={submit}>
        <h2 id={ids.title}>
          {TITLES[step]} {claim}
        </h2>
        {step === "assign" && (
          <label htmlFor={ids.to}>
            To
            <select id={ids.to} name="to">
              {Object.entries(names).map(([login, name]) => (
                <option key={login} value={login}>
                  {name}
                </option>
              ))}
              <option value="">Nobody</option>
            </select>
          </label>
        )}
        {step === "snooze" && (
          <label htmlFor={ids.until}>
            For
            <select id={ids.until} name="until" defaultValue="7">
              <option value="1">1 day</option>
              <option value="3">3 days</option>
              <option value="7">1 week</option>
              <option value="14">2 weeks</option>
              <option value="30">30 days</option>
            </select>
          </label>
        )}
        <label htmlFor={ids.note}>
          {step === "escalate" ? "Why" : "Note (if any)"}
          <textarea id={ids.note} name="note" rows={3} maxLength={2000} required={step === "escalate"} />
        </label>
        {act.error && <Trouble error={act.error} />}
        <div className="buttons">
          <button type="submit" className="primary" disabled={act.isPending}>
            {TITLES[step]}
          </button>
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  );
}
