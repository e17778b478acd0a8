import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import { ask, keepCsrfToken } from "../api";
import { useChange } from "../change";
import type { Session } from "../session";
import { Trouble } from "./Trouble";

/** Sets a password of one's own; `current` is what the one before is called. */
export function PasswordForm({ current }: { current: string }) {
  const queries = useQueryClient();
  const ids = { current: useId(), next: useId(), rule: useId() };
  const [shown, setShown] = useState(false);
  const change = useChange({
    mutationFn: (given: { current: string; new: string }) =>
      ask<Session>("/api/session/password", { method: "POST", body: given }),
    onSuccess: (session) => {
      keepCsrfToken(session.csrf_token);
      queries.setQueryData(["session"], session);
    },
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const given = new FormData(form);
    change.mutate(
      { current: String(given.get("current")), new: String(given.get("new")) },
      { onSuccess: () => form.reset() },
    );
  }
  const type = shown ? "text" : "password";
  return (
    <form className="narrow" onSubmit={submit}>
      <label htmlFor={ids.current}>
        {current}
        <input id={ids.current} name="current" type={type} autoComplete="current-password" required />
      </label>
      <label htmlFor={ids.next}>
        New password
        <input
          id={ids.next}
          name="new"
          type={type}
          autoComplete="new-password"
          aria-describedby={ids.rule}
          required
          minLength={12}
          maxLength={256}
        />
      </label>
      <p className="soft" id={ids.rule}>
        At least 12 characters, without your login. A few words do well.
      </p>
      <label className="check">
        <input type="checkbox" checked={shown} onChange={(event) => setShown(event.target.checked)} />
        Show passwords
      </label>
      <button type="submit" className="primary" disabled={change.isPending}>
        Change password
      </button>
      {change.error && <Trouble error={change.error} />}
      {change.isSuccess && (
        <p role="status" className="good">
          Your password is changed. Wherever else you were signed in you are not any more.
        </p>
      )}
    </form>
  );
}
