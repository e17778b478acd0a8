import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext } from "react";
import { ApiProblem, ask, keepCsrfToken } from "./api";
import { ChoosePassword } from "./pages/Account";
import { SignIn } from "./pages/SignIn";
import { Trouble } from "./parts/Trouble";

export type Permission =
  | "see_claims"
  | "decide"
  | "see_models"
  | "rollback"
  | "see_operations"
  | "see_audit"
  | "manage";

export type Session = {
  login: string;
  name: string;
  roles: string[];
  permissions: Permission[];
  is_local: boolean;
  must_choose_password: boolean;
  csrf_token: string;
  line: { name: string; title: string };
  as_of: string;
};

/** After which a console that did not answer is asked once more. */
const AGAIN_MS = 5_000;

const Current = createContext<Session | null>(null);

/** Who is signed in; only below `SignedIn`. */
export function useSession(): Session {
  const session = useContext(Current);
  if (session === null) throw new Error("useSession is used outside of SignedIn");
  return session;
}

async function fetchSession(): Promise<Session | null> {
  try {
    const session = await ask<Session>("/api/session");
    keepCsrfToken(session.csrf_token);
    return session;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 401) return null;
    throw error;
  }
}

/** Shows the pages to who is signed in, and the form to all others. */
export function SignedIn({ children }: { children: ReactNode }) {
  const { data, error, isPending } = useQuery<Session | null | "ended">({
    queryKey: ["session"],
    queryFn: fetchSession,
    staleTime: 60_000,
    refetchInterval: ({ state }) => (state.status === "error" ? AGAIN_MS : false),
  });
  if (isPending) return <p role="status">Loading…</p>;
  if (data === undefined) return <Trouble error={error} />;
  if (data === null || data === "ended") return <SignIn ended={data === "ended"} />;
  return <Current value={data}>{data.must_choose_password ? <ChoosePassword /> : children}</Current>;
}

export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => ask<void>("/api/session", { method: "DELETE" }),
    onSettled: () => {
      queries.clear();
      window.location.assign("/");
    },
  });
}
