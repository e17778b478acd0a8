import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useRef, useState } from "react";
import { ask } from "../../api";
import { useChange } from "../../change";
import { Trouble } from "../../parts/Trouble";

type Done = { version: number; told: boolean };

/** Goes back to the champion before, for who may, with a reason. */
export function RollBack({ standing, before }: { standing: number; before: number | undefined }) {
  const queries = useQueryClient();
  const dialog = useRef<HTMLDialogElement>(null);
  const ids = { title: useId(), reason: useId() };
  const [done, setDone] = useState<Done | null>(null);
  const back = useChange({
    mutationFn: (reason: string) => ask<Done>("/api/model/rollback", { method: "POST", body: { standing, reason } }),
    onSuccess: (answer) => {
      setDone(answer);
      dialog.current?.close();
    },
    // Also where it failed: somebody else may have decided.
    onSettled: () => queries.invalidateQueries({ queryKey: ["model"] }),
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    back.mutate(String(new FormData(event.currentTarget).get("reason")).trim());
  }
  return (
    <>
      {before === undefined ? (
        <p className="soft">There was no champion before, so there is none to go back to.</p>
      ) : (
        <button type="button" onClick={() => dialog.current?.showModal()}>
          Go back to model {before}…
        </button>
      )}
      {done && (
        <p role="status">
          Model {done.version} is the champion now.{" "}
          {done.told ? "Score has been told." : "Score could not be told; its daily run will find it."}
        </p>
      )}
      <dialog ref={dialog} aria-labelledby={ids.title} onClose={() => back.reset()}>
        <form onSubmit={submit}>
          <h2 id={ids.title}>Go back to model {before}?</h2>
          <p>
            Model {standing} stops flagging claims and is not judged again. Claims are scored anew with model {before}.
            Your name and the reason stay in the history for good.
          </p>
          <label htmlFor={ids.reason}>
            Reason
            <textarea id={ids.reason} name="reason" required minLength={5} maxLength={500} rows={3} />
          </label>
          {back.error && <Trouble error={back.error} />}
          <div className="toolbar">
            <button type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            <button type="submit" className="primary" disabled={back.isPending}>
              Go back to model {before}
            </button>
          </div>
        </form>
      </dialog>
    </>
  );
}
