import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId } from "react";
import { ask, keepCsrfToken } from "../api";
import { useChange } from "../change";
import { Trouble } from "../parts/Trouble";
import type { Session } from "../session";

type Ways = { password: boolean; provider: boolean };

/** Sends people to the provider of identities, or asks for login and password, as the console is set up. */
export function SignIn({ ended }: { ended: boolean }) {
  const { data: ways, error } = useQuery({
    queryKey: ["ways"],
    queryFn: () => ask<Ways>("/api/session/ways"),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const to = window.location.pathname + window.location.search;
  return (
    <main className="sign-in">
      <title>Sign in · Claimsight</title>
      <h1>Claimsight</h1>
      {ended && <p role="status">Your session has ended. Sign in to go on where you were.</p>}
      {error && <Trouble error={error} />}
      {ways?.provider && (
        <p>
          <a className="button primary" href={`/api/session/oidc?to=${encodeURIComponent(to)}`}>
            Sign in with your organisation
          </a>
        </p>
      )}
      {ways?.provider && ways.password && <h2>Or with a password</h2>}
      {ways?.password && <ByPassword />}
    </main>
  );
}

function ByPassword() {
  const queries = useQueryClient();
  const ids = { login: useId(), password: useId() };
  const signIn = useChange({
    mutationFn: (given: { login: string; password: string }) =>
      ask<Session>("/api/session", { method: "POST", body: given }),
    onSuccess: (session) => {
      keepCsrfToken(session.csrf_token);
      // What another person was shown before this sign-in is not shown now.
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" && queryKey[0] !== "ways" });
      queries.setQueryData(["session"], session);
    },
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    signIn.mutate({ login: String(form.get("login")), password: String(form.get("password")) });
  }
  return (
    <>
      <form onSubmit={submit}>
        <label htmlFor={ids.login}>
          Login
          <input
            id={ids.login}
            name="login"
            autoComplete="username"
            autoCapitalize="none"
            spellCheck={false}
            required
            maxLength={128}
          />
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
    </>
  );
}
