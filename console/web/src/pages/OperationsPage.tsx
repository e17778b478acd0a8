import { useQuery } from "@tanstack/react-query";
import { ask } from "../api";
import { Cards, DataTable, Verdict } from "../parts/charts/DataTable";
import { count, day, duration, figure, minute, usd, words } from "../parts/charts/words";
import { Trouble } from "../parts/Trouble";
import "../styles/charts.css";

type Stage = {
  stage: string;
  runs: number;
  bad: number;
  median: number | null;
  longest: number | null;
  rows_in: number;
  rows_out: number;
  quarantined: number;
  cpu_seconds: number | null;
  peak: number | null;
  usd: number;
};

type Run = {
  run_id: number;
  stage: string;
  shard: string;
  as_of: string;
  started_at: string;
  status: string;
  exit_code: number | null;
  message: string | null;
  meaning: string;
  rows_in: number;
  rows_out: number;
  quarantined: number;
  seconds: number | null;
  usd: number;
};

type Stop = {
  stop_id: number;
  as_of: string;
  until: string | null;
  model_version: number;
  reason: string;
  cleared: { actor: string; reason: string } | null;
};

type Runs = {
  stages: Stage[];
  latest: Run[];
  bad: Run[];
  bad_runs: number;
  usd: number;
  a_month: number | null;
  prices: { region: string; read: string };
  stops: Stop[];
};

type Queue = { claims: number; oldest: number | null; ages: { label: string; claims: number }[] };

type Waiting = {
  as_of: string;
  labelled: boolean;
  capacity_per_week: number;
  queues: Record<"score" | "flagged" | "audited" | "outcome", Queue>;
  unscorable: { reason: string; claims: number }[];
  feeds: {
    feed: string;
    files: number;
    rejected: number;
    rows_in: number | null;
    rows_out: number | null;
    loaded: string | null;
    newest: string | null;
  }[];
  quarantine: { column_name: string; reason: string; rows: number; files: number; latest: string }[];
};

/** Milliseconds after which runs are looked at again; what waits is counted over every claim, and so less often. */
const RUNS_AGAIN = 15_000;
const WAITING_AGAIN = 120_000;
const DAY = 86_400;
const MEBIBYTE = 1 << 20;

/** Whether the stages do their work, what it costs, and what waits for them. */
export function OperationsPage() {
  const runs = useQuery({
    queryKey: ["operations"],
    queryFn: ({ signal }) => ask<Runs>("/api/operations", { signal }),
    refetchInterval: RUNS_AGAIN,
  });
  const waiting = useQuery({
    queryKey: ["operations", "waiting"],
    queryFn: ({ signal }) => ask<Waiting>("/api/operations/waiting", { signal }),
    refetchInterval: WAITING_AGAIN,
  });
  return (
    <>
      <title>Operations · Claimsight</title>
      <h1>Operations</h1>
      {runs.error && <Trouble error={runs.error} />}
      {waiting.error && <Trouble error={waiting.error} />}
      {runs.data && <Stopped stops={runs.data.stops} />}
      <Headline runs={runs.data} waiting={waiting.data} />
      {runs.data && (
        <p className="soft">
          Looked at {new Date(runs.dataUpdatedAt).toISOString().slice(11, 19)} UTC; this page looks again by itself.
        </p>
      )}
      <h2>Runs</h2>
      {runs.data ? <OfStages runs={runs.data} /> : <p role="status">Loading…</p>}
      <h2>What waits</h2>
      {waiting.data ? <Queues waiting={waiting.data} /> : <p role="status">Loading…</p>}
      {waiting.data && <Sources waiting={waiting.data} />}
      {runs.data && <Stops stops={runs.data.stops} />}
    </>
  );
}

function Stopped({ stops }: { stops: Stop[] }) {
  const last = stops.at(-1);
  if (!last || last.until !== null) return null;
  return (
    <div className="problem" role="alert">
      <p>
        <strong>Scoring is stopped</strong> since {minute(last.as_of)}: drift found the input broken. {last.reason}
      </p>
    </div>
  );
}

function Headline({ runs, waiting }: { runs: Runs | undefined; waiting: Waiting | undefined }) {
  const cards = [];
  if (runs) {
    const all = runs.stages.reduce((sum, row) => sum + row.runs, 0);
    cards.push({
      name: "Runs",
      value: count(all),
      note: runs.bad_runs === 0 ? "every one ended well" : `${count(runs.bad_runs)} did not end well`,
    });
    if (runs.a_month !== null) {
      const note = `${usd(runs.a_month)} a month at this pace`;
      cards.push({ name: "Estimated cost", value: `${usd(runs.usd)} USD`, note });
    }
  }
  if (waiting) {
    const { score, flagged, audited, outcome } = waiting.queues;
    cards.push({ name: "Claims without a score", value: count(score.claims), note: oldest(score, "none waits") });
    if (waiting.labelled) {
      const listed = flagged.claims + audited.claims;
      const weeks = figure(listed / waiting.capacity_per_week, 2);
      cards.push(
        { name: "To be looked at", value: count(listed), note: `${weeks} weeks of work at the capacity` },
        {
          name: "Claims without an outcome",
          value: count(outcome.claims),
          note: oldest(outcome, "every outcome is known"),
        },
      );
    }
  }
  return <Cards of={cards} />;
}

function oldest(queue: Queue, none: string): string {
  return queue.oldest === null ? none : `the oldest: ${duration(queue.oldest * DAY)}`;
}

function OfStages({ runs }: { runs: Runs }) {
  if (runs.stages.length === 0) return <p>No stage has run yet.</p>;
  return (
    <>
      <DataTable
        caption="The stages, in the order in which a claim meets them"
        rows={runs.stages}
        keyOf={(row) => row.stage}
        columns={[
          { name: "Stage", cell: (row) => row.stage },
          { name: "Runs", kind: "number", cell: (row) => count(row.runs) },
          {
            name: "Ended well",
            kind: "number",
            cell: (row) =>
              row.bad === 0 ? "all" : <Verdict good={false}>{`${row.runs - row.bad} of ${row.runs}`}</Verdict>,
          },
          { name: "Median time", kind: "number", cell: (row) => duration(row.median) },
          { name: "Longest", kind: "number", cell: (row) => duration(row.longest) },
          { name: "Rows in", kind: "number", cell: (row) => count(row.rows_in) },
          { name: "Rows out", kind: "number", cell: (row) => count(row.rows_out) },
          { name: "Set aside", kind: "number", cell: (row) => count(row.quarantined) },
          { name: "CPU", kind: "number", cell: (row) => duration(row.cpu_seconds) },
          { name: "Peak memory", kind: "number", cell: (row) => mebibytes(row.peak) },
          { name: "USD", kind: "number", cell: (row) => usd(row.usd) },
        ]}
      />
      <p className="soft">
        Cost is what the runs would have been billed as tasks on Fargate in {runs.prices.region}, none on Spot, at the
        prices read on {runs.prices.read}.
      </p>
      <h3>Failures</h3>
      {runs.bad.length === 0 ? (
        <p>Every run ended well.</p>
      ) : (
        <DataTable
          caption={`Runs that did not end well, the latest first${runs.bad_runs > runs.bad.length ? ` (${count(runs.bad.length)} of ${count(runs.bad_runs)})` : ""}`}
          rows={runs.bad}
          keyOf={(run) => run.run_id}
          columns={[
            { name: "Run", kind: "number", cell: (run) => run.run_id },
            { name: "Stage", cell: (run) => run.stage },
            { name: "Started (UTC)", cell: (run) => <time>{minute(run.started_at)}</time> },
            { name: "What happened", kind: "wide", cell: (run) => `${run.stage} ${run.meaning}` },
            { name: "Message", kind: "wide", cell: (run) => run.message ?? "–" },
          ]}
        />
      )}
      <details>
        <summary>The latest runs one by one</summary>
        <DataTable
          caption={`The latest ${runs.latest.length} runs`}
          rows={runs.latest}
          keyOf={(run) => run.run_id}
          columns={[
            { name: "Run", kind: "number", cell: (run) => run.run_id },
            { name: "Stage", cell: (run) => run.stage },
            { name: "Shard", cell: (run) => run.shard },
            { name: "Started (UTC)", cell: (run) => <time>{minute(run.started_at)}</time> },
            { name: "Clock", cell: (run) => <time>{day(run.as_of)}</time> },
            { name: "End", cell: (run) => <End run={run} /> },
            { name: "Time", kind: "number", cell: (run) => duration(run.seconds) },
            { name: "Rows in", kind: "number", cell: (run) => count(run.rows_in) },
            { name: "Rows out", kind: "number", cell: (run) => count(run.rows_out) },
            { name: "USD", kind: "number", cell: (run) => usd(run.usd) },
          ]}
        />
      </details>
    </>
  );
}

function End({ run }: { run: Run }) {
  if (run.status === "running") return <span className="soft">{run.meaning}</span>;
  return (
    <Verdict good={run.status === "done"}>
      {run.status}
      {run.exit_code ? ` (${run.exit_code})` : ""}
    </Verdict>
  );
}

function mebibytes(bytes: number | null): string {
  return bytes === null ? "–" : `${count(bytes / MEBIBYTE)}\u202fMiB`;
}

const QUEUES: [keyof Waiting["queues"], string][] = [
  ["score", "For a score"],
  ["flagged", "Flagged, to be looked at"],
  ["audited", "Audit sample, to be looked at"],
  ["outcome", "For an outcome"],
];

function Queues({ waiting }: { waiting: Waiting }) {
  const shown = QUEUES.filter(([name]) => waiting.labelled || name === "score");
  const groups = waiting.queues.score.ages.map(({ label }, place) => ({
    label,
    claims: shown.map(([name]) => waiting.queues[name].ages[place]?.claims ?? 0),
  }));
  const all = { label: "all", claims: shown.map(([name]) => waiting.queues[name].claims) };
  return (
    <>
      <DataTable
        caption={`Claims that wait as of ${minute(waiting.as_of)}, by the time since the claim`}
        rows={[...groups, all]}
        keyOf={(row) => row.label}
        chosen={(row) => row.label === "all"}
        columns={[
          { name: "Since the claim", kind: "wide", cell: (row) => row.label },
          ...shown.map(([key, name], place) => ({
            key,
            name,
            kind: "number" as const,
            cell: (row: typeof all) => count(row.claims[place]),
          })),
        ]}
      />
      {waiting.unscorable.length > 0 && (
        <DataTable
          caption="Claims that the model cannot score, which do not wait"
          rows={waiting.unscorable}
          keyOf={(row) => row.reason}
          columns={[
            { name: "Why", kind: "wide", cell: (row) => row.reason },
            { name: "Claims", kind: "number", cell: (row) => count(row.claims) },
          ]}
        />
      )}
    </>
  );
}

function Sources({ waiting }: { waiting: Waiting }) {
  const now = Date.parse(waiting.as_of) / 1000;
  const age = (moment: string | null) => (moment === null ? "–" : duration(now - Date.parse(moment) / 1000));
  return (
    <>
      <h2>Sources</h2>
      <DataTable
        caption={`How fresh each source is, as of ${minute(waiting.as_of)}`}
        rows={waiting.feeds}
        keyOf={(feed) => feed.feed}
        columns={[
          { name: "Source", cell: (feed) => words(feed.feed) },
          { name: "Last loaded", kind: "number", cell: (feed) => age(feed.loaded) },
          { name: "Newest in it", kind: "number", cell: (feed) => age(feed.newest) },
          { name: "Files", kind: "number", cell: (feed) => count(feed.files) },
          {
            name: "Rejected",
            kind: "number",
            cell: (feed) => (feed.rejected > 0 ? <Verdict good={false}>{count(feed.rejected)}</Verdict> : "0"),
          },
          { name: "Rows in", kind: "number", cell: (feed) => count(feed.rows_in) },
          { name: "Rows out", kind: "number", cell: (feed) => count(feed.rows_out) },
        ]}
      />
      <h3>Set aside</h3>
      {waiting.quarantine.length === 0 ? (
        <p>No row of a loaded file stands in quarantine.</p>
      ) : (
        <DataTable
          caption="Rows in quarantine, by column and reason"
          rows={waiting.quarantine}
          keyOf={(row) => `${row.column_name} ${row.reason}`}
          columns={[
            { name: "Column", cell: (row) => row.column_name || "whole row" },
            { name: "Reason", kind: "wide", cell: (row) => row.reason },
            { name: "Rows", kind: "number", cell: (row) => count(row.rows) },
            { name: "Files", kind: "number", cell: (row) => count(row.files) },
            { name: "Latest", cell: (row) => <time>{day(row.latest)}</time> },
          ]}
        />
      )}
    </>
  );
}

function Stops({ stops }: { stops: Stop[] }) {
  return (
    <>
      <h2>When scoring stood still</h2>
      {stops.length === 0 ? (
        <p>Never: drift has not found its input broken.</p>
      ) : (
        <DataTable
          caption="Stops, the latest first"
          rows={[...stops].reverse()}
          keyOf={(stop) => stop.stop_id}
          columns={[
            { name: "From", cell: (stop) => <time>{minute(stop.as_of)}</time> },
            {
              name: "Until",
              cell: (stop) => (stop.until === null ? <Verdict good={false}>stands</Verdict> : minute(stop.until)),
            },
            { name: "Model", kind: "number", cell: (stop) => stop.model_version },
            { name: "Why", kind: "wide", cell: (stop) => stop.reason },
            { name: "Cleared by", cell: (stop) => stop.cleared?.actor ?? "–" },
            { name: "Because", kind: "wide", cell: (stop) => stop.cleared?.reason ?? "–" },
          ]}
        />
      )}
    </>
  );
}
