import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId } from "react";
import { ask } from "../api";
import { useChange } from "../change";
import { Trouble } from "../parts/Trouble";
import { moment } from "../parts/words";

type Key = {
  key_id: number;
  system: string;
  scopes: string[];
  created_at: string;
  created_by: string;
  revoked_at: string | null;
  revoked_by: string | null;
};
type Made = { key_id: number; system: string; key: string };
type Listed = { keys: Key[]; scopes: string[] };

const MEANING: Record<string, string> = {
  score: "score a claim",
  check: "check a release: score known claims once more",
  alerts: "fetch alerts",
  decisions: "send and fetch decisions",
  model: "ask what the champion is",
};

/** Keys by which other systems use the API: made, shown once, revoked. */
export function Keys() {
  const queries = useQueryClient();
  const { data, error } = useQuery({ queryKey: ["keys"], queryFn: () => ask<Listed>("/api/keys") });
  const renew = () => queries.invalidateQueries({ queryKey: ["keys"] });
  const revoke = useChange({
    mutationFn: (key: Key) => ask<void>(`/api/keys/${key.key_id}/revoke`, { method: "POST" }),
    onSuccess: renew,
  });
  return (
    <>
      <title>Keys · Claimsight</title>
      <h1>Keys of other systems</h1>
      {error && <Trouble error={error} />}
      {revoke.error && <Trouble error={revoke.error} />}
      {data && <NewKey scopes={data.scopes} onMade={renew} />}
      {data && (
        <ul className="people">
          {data.keys.map((key) => (
            <li key={key.key_id} className={key.revoked_at === null ? "card" : "card out"}>
              <div>
                <h2>{key.system}</h2>
                <p className="soft">Key {key.key_id}</p>
              </div>
              <p>{key.scopes.join(", ")}</p>
              <p className="soft">
                Made {moment(key.created_at)} by {key.created_by}
                {key.revoked_at && `; revoked ${moment(key.revoked_at)} by ${key.revoked_by}`}
              </p>
              {key.revoked_at === null && (
                <p>
                  <button
                    type="button"
                    aria-label={`Revoke key ${key.key_id} of ${key.system}`}
                    disabled={revoke.isPending}
                    onClick={() => revoke.mutate(key)}
                  >
                    Revoke
                  </button>
                </p>
              )}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function NewKey({ scopes, onMade }: { scopes: string[]; onMade: () => void }) {
  const id = useId();
  const make = useChange({
    mutationFn: (given: { system: string; scopes: string[] }) =>
      ask<Made>("/api/keys", { method: "POST", body: given }),
    onSuccess: onMade,
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const given = new FormData(form);
    make.mutate(
      { system: String(given.get("system")), scopes: given.getAll("scopes").map(String) },
      { onSuccess: () => form.reset() },
    );
  }
  return (
    <>
      {make.data && (
        <div className="card once" role="status">
          <p>
            Key of <strong>{make.data.system}</strong>, shown this once:
          </p>
          <p>
            <code>{make.data.key}</code>
          </p>
          <p className="soft">Put it into the system's secret store. Whoever has it may do what it is for.</p>
        </div>
      )}
      <form className="narrow" onSubmit={submit}>
        <label htmlFor={id}>
          System
          <input
            id={id}
            name="system"
            autoComplete="off"
            autoCapitalize="none"
            required
            pattern="[a-z0-9][a-z0-9._\-]{0,62}"
            title="Small letters, digits, dots and dashes"
          />
        </label>
        <fieldset>
          <legend>May</legend>
          {scopes.map((scope) => (
            <label key={scope} className="check">
              <input type="checkbox" name="scopes" value={scope} />
              <span>{MEANING[scope] ?? scope}</span>
            </label>
          ))}
        </fieldset>
        <button type="submit" className="primary" disabled={make.isPending}>
          Make a key
        </button>
        {make.error && <Trouble error={make.error} />}
      </form>
    </>
  );
}
