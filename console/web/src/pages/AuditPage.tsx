import { useInfiniteQuery } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useId } from "react";
import { Link, useSearchParams } from "react-router";
import { ask } from "../api";
import { DataTable } from "../parts/charts/DataTable";
import { count, words } from "../parts/charts/words";
import { Trouble } from "../parts/Trouble";
import { useSession } from "../session";
import "../styles/charts.css";

type Entry = {
  entry_id: number;
  at: string;
  by: string;
  login: string;
  action: string;
  subject: string | null;
  model_version: number | null;
  purpose: string;
  detail: Record<string, unknown>;
  asked: number | null;
};
type Page = { entries: Entry[]; next: number | null };

const FILTERS = ["person", "action", "claim", "since", "until"] as const;
type Filter = Partial<Record<(typeof FILTERS)[number], string>>;
/** What the log can tell of; others may be typed in too. */
const ACTIONS = [
  ...[
    "worklist",
    "claim",
    "case_taken",
    "case_decided",
    "case_undone",
    "case_assigned",
    "case_snoozed",
    "case_escalated",
  ],
  ...[
    "api_score",
    "api_alerts",
    "api_decide",
    "prediction_history",
    "performance",
    "score",
    "export",
    "rollback",
    "audit",
  ],
  ...["signed_in", "person_added", "person_disabled", "roles_changed", "password_reset", "key_created", "key_revoked"],
];
/** Actions whose subject is somebody or something other than a claim. */
const ADMINISTRATION = /^(signed_in|person_|roles_|password_|key_)/;
/** Actions that decide about a model, and lead to its page. */
const ABOUT_MODELS = new Set(["rollback", "score", "performance"]);

/** Who used what, when, and what for. */
export function AuditPage() {
  const [address, setAddress] = useSearchParams();
  const filter: Filter = Object.fromEntries(
    FILTERS.flatMap((name) => {
      const value = address.get(name);
      return value ? [[name, value]] : [];
    }),
  );
  const log = useInfiniteQuery({
    queryKey: ["audit", filter],
    queryFn: ({ pageParam, signal }) => {
      const asked = new URLSearchParams(filter);
      if (pageParam !== null) asked.set("before", String(pageParam));
      return ask<Page>(`/api/audit?${asked}`, { signal });
    },
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    // Each look is an entry of its own in the log.
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  const entries = log.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <title>Audit · Claimsight</title>
      <h1>Audit</h1>
      <p>
        Who used what, when, and what for. Nobody can change or delete an entry; looking at this page is entered too.
        Decisions about models, with their reasons, stand in <Link to="/model">their history</Link>.
      </p>
      <FilterForm key={address.toString()} filter={filter} onAsk={(asked) => setAddress(asked)} />
      {log.error && <Trouble error={log.error} />}
      {log.isPending && <p role="status">Loading…</p>}
      {log.data &&
        (entries.length === 0 ? (
          <p role="status">No entry is like that.</p>
        ) : (
          <>
            <Entries entries={entries} />
            <div className="toolbar">
              {log.hasNextPage ? (
                <button type="button" disabled={log.isFetchingNextPage} onClick={() => log.fetchNextPage()}>
                  Show earlier entries
                </button>
              ) : (
                <p className="soft">These are all {count(entries.length)} entries.</p>
              )}
            </div>
          </>
        ))}
      <h2>Export</h2>
      <Export filter={filter} />
    </>
  );
}

function FilterForm({ filter, onAsk }: { filter: Filter; onAsk: (asked: Record<string, string>) => void }) {
  const id = useId();
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const given = new FormData(event.currentTarget);
    const asked = FILTERS.map((name): [string, string] => [name, String(given.get(name)).trim()]);
    onAsk(
      Object.fromEntries(
        asked
          .filter(([, value]) => value)
          // As the log has it; the page shows it in words.
          .map(([name, value]) => [name, name === "action" ? value.toLowerCase().replaceAll(" ", "_") : value]),
      ),
    );
  }
  const fields: [keyof Filter, string, ReactNode][] = [
    [
      "person",
      "Person or login",
      <input key="" name="person" id={`${id}person`} defaultValue={filter.person} maxLength={255} />,
    ],
    [
      "action",
      "Action",
      <input
        key=""
        name="action"
        id={`${id}action`}
        defaultValue={filter.action && words(filter.action)}
        list={`${id}actions`}
        maxLength={255}
      />,
    ],
    ["claim", "Claim", <input key="" name="claim" id={`${id}claim`} defaultValue={filter.claim} maxLength={255} />],
    [
      "since",
      "From day (UTC)",
      <input key="" name="since" id={`${id}since`} type="date" defaultValue={filter.since} />,
    ],
    ["until", "To day (UTC)", <input key="" name="until" id={`${id}until`} type="date" defaultValue={filter.until} />],
  ];
  return (
    <search>
      <form className="filters" onSubmit={submit}>
        {fields.map(([name, label, input]) => (
          <label key={name} htmlFor={`${id}${name}`}>
            {label}
            {input}
          </label>
        ))}
        <datalist id={`${id}actions`}>
          {ACTIONS.map((action) => (
            <option key={action} value={words(action)} />
          ))}
        </datalist>
        <button type="submit" className="primary">
          Show
        </button>
        {Object.keys(filter).length > 0 && (
          <button type="button" onClick={() => onAsk({})}>
            Clear
          </button>
        )}
      </form>
    </search>
  );
}

function Entries({ entries }: { entries: Entry[] }) {
  return (
    <DataTable
      caption="Entries of the log, the latest first"
      rows={entries}
      keyOf={(entry) => entry.entry_id}
      columns={[
        {
          name: "When (UTC)",
          cell: (entry) => (
            <>
              <time>{entry.at.slice(0, 10)}</time> <time>{entry.at.slice(11, 19)}</time>
            </>
          ),
        },
        {
          name: "Who",
          cell: (entry) => (
            <span title={entry.by === entry.login ? undefined : `by the login ${entry.login}`}>{entry.by}</span>
          ),
        },
        { name: "What", cell: (entry) => words(entry.action) },
        { name: "Of what", cell: (entry) => <Subject entry={entry} /> },
        { name: "What for", kind: "wide", cell: (entry) => entry.purpose },
        { name: "Detail", kind: "wide", cell: (entry) => detail(entry.detail) },
        {
          name: "Entry",
          kind: "number",
          cell: (entry) => (
            <>
              {entry.entry_id}
              {entry.asked !== null && <div className="soft">shown for {entry.asked}</div>}
            </>
          ),
        },
      ]}
    />
  );
}

function Subject({ entry }: { entry: Entry }) {
  const { permissions } = useSession();
  if (entry.subject !== null) {
    return permissions.includes("see_claims") && !ADMINISTRATION.test(entry.action) ? (
      <Link to={`/claims/${encodeURIComponent(entry.subject)}`}>{entry.subject}</Link>
    ) : (
      entry.subject
    );
  }
  if (entry.model_version !== null && ABOUT_MODELS.has(entry.action)) {
    return <Link to={`/model?version=${entry.model_version}`}>model {entry.model_version}</Link>;
  }
  return "–";
}

/** Tells what stands in an entry, without what is empty. */
function detail(told: unknown): string {
  if (typeof told !== "object" || told === null) return String(told);
  if (Array.isArray(told)) return told.map(detail).join(", ");
  return Object.entries(told)
    .map(([name, value]) => [words(name), detail(value)])
    .filter(([, value]) => value)
    .map(([name, value]) => `${name}: ${value}`)
    .join("; ");
}

function Export({ filter }: { filter: Filter }) {
  const id = useId();
  return (
    <form className="filters" action="/api/audit/export" method="get">
      {Object.entries(filter).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      <label htmlFor={id}>
        What the file is for
        <input id={id} name="purpose" required minLength={5} maxLength={500} />
      </label>
      <button type="submit">Export as CSV</button>
    </form>
  );
}
