import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId } from "react";
import { ask, keepCsrfToken } from "../api";
import { Trouble } from "../parts/Trouble";
import type { Session } from "../session";

/** Asks a local user for login and password. */
export function SignIn() {
  const queries = useQueryClient();
  const ids = { login: useId(), password: useId() };
  const signIn = useMutation({
    mutationFn: (given: { login: string; password: string }) =>
      ask<Session>("/api/session", { method: "POST", body: given }),
    onSuccess: (session) => {
      keepCsrfToken(session.csrf_token);
      queries.setQueryData(["session"], session);
    },
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    signIn.mutate({ login: String(form.get("login")), password: String(form.get("password")) });
  }
  return (
    <main className="sign-in">
      <title>Sign in · Claimsight</title>
      <h1>Claimsight</h1>
      <form onSubmit={submit}>
        <label htmlFor={ids.login}>
          Login
          <input id={ids.login} name="login" autoComplete="username" required maxLength={128} />
        </label>
        <label htmlFor={ids.password}>
          Password
          <input id={ids.password} name="password" type="password" autoComplete="current-password" required />
        </label>
        <button type="submit" className="primary" disabled={signIn.isPending}>
          Sign in
        </button>
      </form>
      {signIn.error && <Trouble error={signIn.error} />}
    </main>
  );
}
