import { useQuery } from "@tanstack/react-query";
import { useId } from "react";
import { Link, useSearchParams } from "react-router";
import { ask } from "../../api";
import { Cards, DataTable, Verdict } from "../../parts/charts/DataTable";
import { day, figure, interval, minute, words } from "../../parts/charts/words";
import { Trouble } from "../../parts/Trouble";
import { useSession } from "../../session";
import "../../styles/charts.css";
import { Timeline } from "./Charts";
import { DriftOfInput } from "./DriftOfInput";
import { JudgedModel } from "./JudgedModel";
import { RollBack } from "./RollBack";
import type { Drift, Entry, Gate, Judged, Overview } from "./told";

const MOST_ENTRIES = 50;
/** How a champion came to be live, before the name of who decided it. */
const BY = { judged: "promoted by", override: "promoted whatever its gates said, by", rollback: "gone back to by" };
const PARTS = [
  ["standing", "Live now"],
  ["judged", "Judgement"],
  ["gates", "Gates"],
  ["bias", "Bias"],
  ["importance", "What it goes by"],
  ["card", "Card"],
  ["drift", "Drift"],
  ["history", "History"],
];

/** Which model is live and why, what it showed, and whether its claims are still those it learnt from. */
export function ModelPage() {
  const { data, error, isPending } = useQuery({
    queryKey: ["model", "overview"],
    queryFn: ({ signal }) => ask<Overview>("/api/model", { signal }),
  });
  return (
    <>
      <title>Model · Claimsight</title>
      <h1>Model</h1>
      {isPending && <p role="status">Loading…</p>}
      {error && <Trouble error={error} />}
      {data && (data.labelled ? <Models overview={data} /> : <p>{UNLABELLED}</p>)}
    </>
  );
}

const UNLABELLED =
  "The contract names no outcomes, so no model of fraud can be trained or judged. Claims are ranked by how unusual they are.";

function Models({ overview }: { overview: Overview }) {
  const ids = { version: useId() };
  const [asked, ask_] = useSearchParams();
  const versions = [...new Set(overview.history.map((entry) => entry.model_version))].sort((one, other) => other - one);
  const wanted = Number(asked.get("version"));
  const version = versions.includes(wanted) ? wanted : (overview.live?.model_version ?? versions[0]);
  return (
    <>
      {overview.stop && (
        <div className="problem" role="alert">
          <p>
            <strong>Scoring is stopped</strong> since {minute(overview.stop.as_of)}: drift found the input broken.{" "}
            {overview.stop.reason}
          </p>
        </div>
      )}
      <nav className="in-page" aria-label="On this page">
        <ul>
          {PARTS.map(([id, name]) => (
            <li key={id}>
              <a href={`#${id}`}>{name}</a>
            </li>
          ))}
        </ul>
      </nav>
      <h2 id="standing">Live now</h2>
      <Standing overview={overview} />
      <h2 id="judged">What a model showed</h2>
      {version === undefined ? (
        <p>No model has been judged yet.</p>
      ) : (
        <>
          <div className="filters">
            <label htmlFor={ids.version}>
              Model
              <select
                id={ids.version}
                value={version}
                onChange={(event) => ask_({ version: event.target.value }, { replace: true })}
              >
                {versions.map((one) => (
                  <option key={one} value={one}>
                    {named(overview, one)}
                  </option>
                ))}
              </select>
            </label>
          </div>
          <Showing version={version} />
        </>
      )}
      <h2 id="drift">Drift</h2>
      <Drifting />
      <h2 id="history">History</h2>
      <History overview={overview} />
    </>
  );
}

function named(overview: Overview, version: number): string {
  if (version === overview.live?.model_version) return `${version}, champion`;
  return version === overview.contender?.model_version ? `${version}, challenger` : String(version);
}

function Standing({ overview }: { overview: Overview }) {
  const { permissions } = useSession();
  const { live, contender, waiting } = overview;
  const before = overview.before[0];
  return (
    <>
      <Cards
        long
        of={[
          live
            ? {
                name: "Champion",
                value: `Model ${live.model_version}`,
                note: `${words(live.family)}, live since ${day(live.as_of)}, ${BY[live.action]} ${live.actor}: ${live.reason}`,
              }
            : { name: "Champion", value: "None", note: "No model has passed its gates yet." },
          contender
            ? {
                name: "Challenger",
                value: `Model ${contender.model_version}`,
                note: (
                  <>
                    {words(contender.family)}, refused on {day(contender.refused_at)}:{" "}
                    <Failed gates={contender.failed} />.{" "}
                    {contender.harmless
                      ? "It scores beside the champion, and may decide in a trial."
                      : "It scores beside the champion and decides nothing: it would do harm."}
                    {contender.against_champion && (
                      <>
                        {" "}
                        Average precision less the champion’s: {figure(contender.against_champion.value)} (
                        {interval(contender.against_champion, figure)}).
                      </>
                    )}
                  </>
                ),
              }
            : { name: "Challenger", value: "None", note: "No newer model was refused." },
          ...waiting.map((model) => ({
            name: "Waits for its verdict",
            value: `Model ${model.model_version}`,
            note: `${words(model.family)}, trained as of ${day(model.as_of)}`,
          })),
        ]}
      />
      {permissions.includes("rollback") && live && <RollBack standing={live.model_version} before={before} />}
    </>
  );
}

function Showing({ version }: { version: number }) {
  const { data, error } = useQuery({
    queryKey: ["model", version],
    queryFn: ({ signal }) => ask<Judged>(`/api/model/${version}`, { signal }),
  });
  if (error) return <Trouble error={error} />;
  return data ? <JudgedModel judged={data} /> : <p role="status">Loading…</p>;
}

function Drifting() {
  const { data, error } = useQuery({
    queryKey: ["model", "drift"],
    queryFn: ({ signal }) => ask<Drift>("/api/model/drift", { signal }),
  });
  if (error) return <Trouble error={error} />;
  return data ? <DriftOfInput drift={data} /> : <p role="status">Loading…</p>;
}

function History({ overview }: { overview: Overview }) {
  const champions = overview.history.filter((entry) => entry.alias === "champion").reverse();
  if (overview.history.length === 0) return <p>No model has been decided on yet.</p>;
  return (
    <>
      <Timeline champions={champions} until={overview.as_of} />
      <DataTable
        caption="Which model was live when, why, and who said so; the latest first"
        rows={overview.history.slice(0, MOST_ENTRIES)}
        keyOf={(entry) => entry.entry_id}
        chosen={(entry) => entry.entry_id === overview.live?.entry_id}
        columns={[
          { name: "Model", cell: (entry) => <ToModel version={entry.model_version} /> },
          { name: "Decided", cell: (entry) => <time>{day(entry.as_of)}</time> },
          { name: "Decision", cell: (entry) => <Verdict good={entry.alias === "champion"}>{how(entry)}</Verdict> },
          { name: "Live until", cell: (entry) => <time>{until(entry)}</time> },
          { name: "By", cell: (entry) => entry.actor },
          { name: "Average precision", kind: "number", cell: (entry) => figure(entry.average_precision?.value) },
          {
            name: "Why",
            kind: "wide",
            cell: (entry) =>
              entry.alias === "refused" && entry.failed.length > 0 ? <Failed gates={entry.failed} /> : entry.reason,
          },
        ]}
      />
      {overview.history.length > MOST_ENTRIES && (
        <p className="soft">And {overview.history.length - MOST_ENTRIES} earlier decisions.</p>
      )}
    </>
  );
}

function ToModel({ version }: { version: number }) {
  return (
    <Link to={`?version=${version}`} onClick={() => document.getElementById("judged")?.scrollIntoView()}>
      {version}
    </Link>
  );
}

function how(entry: Entry): string {
  if (entry.alias === "refused") return "refused";
  return { judged: "promoted", override: "promoted by a person", rollback: "gone back to" }[entry.action];
}

function until(entry: Entry): string {
  if (entry.alias === "refused") return "never live";
  return entry.live_until ? day(entry.live_until) : "now";
}

function Failed({ gates }: { gates: Gate[] }) {
  return gates
    .map((gate) => `${gate.name} is ${figure(gate.value)}, ${gate.asks} ${figure(gate.limit)} is asked`)
    .join("; ");
}
