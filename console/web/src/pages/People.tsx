import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import { ask } from "../api";
import { useChange } from "../change";
import { Trouble } from "../parts/Trouble";
import { moment } from "../parts/words";
import { useSession } from "../session";
import { ROLES } from "./Account";

type Person = {
  person_id: number;
  login: string;
  name: string;
  roles: string[];
  is_local: boolean;
  disabled_at: string | null;
  signed_in_at: string | null;
  one_time_until: string | null;
};
type HandedOver = { name: string; password: string };
type Change = { person: Person; path: string; method?: "POST" | "PUT"; body?: unknown };

/** Who uses the console: administrators let people in, say what they may do, and shut them out. */
export function People() {
  const { login } = useSession();
  const [handed, setHanded] = useState<HandedOver | null>(null);
  const { data, error } = useQuery({
    queryKey: ["people"],
    queryFn: () => ask<{ people: Person[] }>("/api/people"),
  });
  return (
    <>
      <title>People · Claimsight</title>
      <h1>People</h1>
      <p className="soft">
        Whatever is changed here stands in the log with your name. Who is changed has to sign in again.
      </p>
      {handed && <OneTime handed={handed} />}
      {error && <Trouble error={error} />}
      {data && (
        <ul className="people">
          {data.people.map((person) => (
            <Entry key={person.person_id} person={person} self={person.login === login} hand={setHanded} />
          ))}
        </ul>
      )}
      <Newcomer hand={setHanded} />
    </>
  );
}

function OneTime({ handed }: { handed: HandedOver }) {
  const card = useRef<HTMLDivElement>(null);
  // It stands above the list, and what it answers to may be far below.
  // biome-ignore lint/correctness/useExhaustiveDependencies: for each password that is handed over
  useEffect(() => card.current?.focus(), [handed]);
  return (
    <div className="card once" role="status" ref={card} tabIndex={-1}>
      <p>
        Password for <strong>{handed.name}</strong>, shown this once:
      </p>
      <p>
        <code>{handed.password}</code>
      </p>
      <p className="soft">
        Hand it over by a way of its own. It is good for three days, and only for choosing another.
      </p>
    </div>
  );
}

function Entry({ person, self, hand }: { person: Person; self: boolean; hand: (handed: HandedOver) => void }) {
  const queries = useQueryClient();
  const change = useChange({
    mutationFn: ({ path, method = "POST", body }: Change) =>
      ask<{ password: string } | undefined>(`/api/people/${person.person_id}/${path}`, { method, body }),
    onSuccess: (answer) => {
      if (answer) hand({ name: person.name, password: answer.password });
      return queries.invalidateQueries({ queryKey: ["people"] });
    },
  });
  const isOut = person.disabled_at !== null;
  return (
    <li className={isOut ? "card out" : "card"}>
      <div>
        <h2>{person.name}</h2>
        <p className="soft">
          {person.login}
          {person.is_local ? "" : " · signs in with your organisation"}
        </p>
      </div>
      <p>{person.roles.map((role) => ROLES[role]?.title ?? role).join(", ") || "No role"}</p>
      <p className="soft">{stateOf(person)}</p>
      {self ? (
        <p className="soft">This is you; another administrator makes changes for you.</p>
      ) : (
        <details>
          <summary>Change</summary>
          {person.is_local && (
            <RolesForm
              label={`Roles of ${person.name}`}
              roles={person.roles}
              save={(roles) => change.mutate({ person, path: "roles", method: "PUT", body: { roles } })}
            />
          )}
          <p className="buttons">
            {person.is_local && !isOut && (
              <button
                type="button"
                disabled={change.isPending}
                onClick={() => change.mutate({ person, path: "password" })}
              >
                Give a new password
              </button>
            )}
            <button
              type="button"
              disabled={change.isPending}
              onClick={() => change.mutate({ person, path: isOut ? "enable" : "disable" })}
            >
              {isOut ? "Let in again" : "Shut out"}
            </button>
          </p>
          {change.error && <Trouble error={change.error} />}
        </details>
      )}
    </li>
  );
}

function RolesForm({ label, roles, save }: { label: string; roles: string[]; save: (roles: string[]) => void }) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    save(new FormData(event.currentTarget).getAll("roles").map(String));
  }
  return (
    <form onSubmit={submit}>
      <RoleBoxes label={label} roles={roles} />
      <p className="buttons">
        <button type="submit">Save roles</button>
      </p>
    </form>
  );
}

function RoleBoxes({ label, roles }: { label: string; roles: string[] }) {
  return (
    <fieldset>
      <legend>{label}</legend>
      {Object.entries(ROLES).map(([role, { title, may }]) => (
        <label key={role} className="check">
          <input type="checkbox" name="roles" value={role} defaultChecked={roles.includes(role)} />
          <span>
            {title} <span className="soft">{may}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function Newcomer({ hand }: { hand: (handed: HandedOver) => void }) {
  const queries = useQueryClient();
  const ids = { login: useId(), name: useId() };
  const add = useChange({
    mutationFn: (given: { login: string; name: string; roles: string[] }) =>
      ask<{ password: string }>("/api/people", { method: "POST", body: given }),
    onSuccess: ({ password }, { name }) => {
      hand({ name, password });
      return queries.invalidateQueries({ queryKey: ["people"] });
    },
  });
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const given = new FormData(form);
    add.mutate(
      { login: String(given.get("login")), name: String(given.get("name")), roles: given.getAll("roles").map(String) },
      { onSuccess: () => form.reset() },
    );
  }
  return (
    <section aria-labelledby={`${ids.login}-title`}>
      <h2 id={`${ids.login}-title`}>Let somebody in</h2>
      <form className="narrow" onSubmit={submit}>
        <label htmlFor={ids.name}>
          Name
          <input id={ids.name} name="name" autoComplete="off" required maxLength={200} />
        </label>
        <label htmlFor={ids.login}>
          Login
          <input
            id={ids.login}
            name="login"
            autoComplete="off"
            autoCapitalize="none"
            required
            pattern="\S{1,128}"
            title="Without blanks"
          />
        </label>
        <RoleBoxes label="Roles" roles={[]} />
        <button type="submit" className="primary" disabled={add.isPending}>
          Add person
        </button>
        {add.error && <Trouble error={add.error} />}
      </form>
    </section>
  );
}

/** Tells how it stands with somebody. */
function stateOf({ disabled_at, one_time_until, signed_in_at }: Person): string {
  if (disabled_at !== null) return `Shut out since ${moment(disabled_at)}`;
  if (one_time_until !== null) {
    return new Date(one_time_until) < new Date()
      ? "The password that was handed over is no longer good; give a new one"
      : `Has to choose a password until ${moment(one_time_until)}`;
  }
  return signed_in_at === null ? "Has not signed in yet" : `Last signed in ${moment(signed_in_at)}`;
}
