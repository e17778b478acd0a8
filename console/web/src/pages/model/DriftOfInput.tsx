import { useState } from "react";
import { DataTable, Scroll, Verdict } from "../../parts/charts/DataTable";
import { count, day, figure, share, words } from "../../parts/charts/words";
import type { Drift, Grid } from "./told";

const MOST_FEATURES = 12;
const MOST_REASONS = 5;
const WHOLE: Record<string, string> = { "*": "all features together", fraud_probability: "fraud probability" };
const SHARES = new Set(["maturity", "precision"]);
const STEPS = ["0 to 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 to 1"];

/** What drift said of the windows of claims. */
export function DriftOfInput({ drift }: { drift: Drift }) {
  if (drift.version === null || drift.shifts.features.length === 0) {
    return <p>No window of claims has been measured yet.</p>;
  }
  const newest = drift.verdicts[0];
  return (
    <>
      {drift.version !== drift.champion && (
        <p>The champion has no measured window yet. These are the windows of model {drift.version}.</p>
      )}
      {newest && (
        <p>
          <Said verdict={newest.verdict} /> in the newest window, {day(newest.window_start)} to {day(newest.window_end)}
          : {newest.reasons[0]}
        </p>
      )}
      <p>
        How far each window’s claims lie from those that model {drift.version} learnt from, as a multiple of the limit:
        from 1 on, a feature has shifted. What shifted most in the newest window, weighed by its importance, stands
        first.
      </p>
      <Heat grid={drift.shifts} caption="Shift relative to its limit, by feature and end of the window" />
      <DataTable
        caption={`Verdicts on the windows of model ${drift.version}, the latest first`}
        rows={drift.verdicts}
        keyOf={(row) => row.window_end}
        columns={[
          { name: "Window", cell: (row) => <Span from={row.window_start} to={row.window_end} /> },
          { name: "Verdict", cell: (row) => <Said verdict={row.verdict} /> },
          { name: "Reasons, the gravest first", kind: "wide", cell: (row) => <Reasons of={row.reasons} /> },
        ]}
      />
      {drift.late.windows.length > 0 && (
        <>
          <h3>What outcomes showed</h3>
          <DataTable
            caption={`What the outcomes of each window show of model ${drift.version}, the latest first`}
            rows={drift.late.windows}
            keyOf={(row) => row.window}
            columns={[
              { name: "Window, by its end", cell: (row) => day(row.window) },
              ...Object.entries(drift.late.metrics).map(([metric, name]) => ({
                name,
                cell: (row: Drift["late"]["windows"][number]) => {
                  const found = row[metric];
                  if (found === undefined || typeof found === "string") return "–";
                  const write = SHARES.has(metric) ? share : figure;
                  const bounds = found.low == null ? "" : ` (${write(found.low)} to ${write(found.high)})`;
                  return (
                    <>
                      {write(found.value)}
                      <span className="soft">{bounds}</span>{" "}
                      {found.verdict !== "ok" && <Said verdict={found.verdict} />}
                    </>
                  );
                },
              })),
            ]}
          />
        </>
      )}
      {drift.associations.features.length > 0 && (
        <>
          <h3>Associations</h3>
          <p>Whether features still go with fraud as they did where the model learnt.</p>
          <Heat
            grid={drift.associations}
            caption="Change of each feature’s odds of fraud relative to its limit, by end of the window"
          />
        </>
      )}
    </>
  );
}

function Span({ from, to }: { from: string; to: string }) {
  return (
    <>
      <time>{day(from)}</time> to <time>{day(to)}</time>
    </>
  );
}

function Said({ verdict }: { verdict: string }) {
  return <Verdict good={verdict === "ok"}>{verdict}</Verdict>;
}

function Reasons({ of }: { of: string[] }) {
  if (of.length === 1) return of[0];
  return (
    <>
      <ol>
        {of.slice(0, MOST_REASONS).map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ol>
      {of.length > MOST_REASONS && <span className="soft">and {count(of.length - MOST_REASONS)} more</span>}
    </>
  );
}

/** A table of shifts, the darker the nearer to the limit. */
function Heat({ grid, caption }: { grid: Grid; caption: string }) {
  const [all, setAll] = useState(false);
  const shown = all ? grid.features : grid.features.slice(0, MOST_FEATURES);
  return (
    <>
      <p className="soft">
        {STEPS.map((step, place) => (
          <span key={step}>
            <span className={`key h${place}`} />
            {step}{" "}
          </span>
        ))}
        <span className="key h4" />
        <strong>1 and more: beyond the limit</strong>
      </p>
      <Scroll label={caption}>
        <table className="heat">
          <caption>
            <span>{caption}</span>
          </caption>
          <thead>
            <tr>
              <th scope="col">Feature</th>
              <th scope="col" className="number less">
                Importance
              </th>
              {grid.windows.map((window) => (
                <th key={window} scope="col" className="up">
                  <time>{day(window)}</time>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">verdict of the window</th>
              <td className="less" />
              {grid.verdicts.map((verdict, place) => (
                <td key={grid.windows[place]} className="said">
                  {verdict ? <Said verdict={verdict} /> : "–"}
                </td>
              ))}
            </tr>
            {shown.map((row) => (
              <tr key={row.feature}>
                <th scope="row">{WHOLE[row.feature] ?? words(row.feature)}</th>
                <td className="number less">{share(row.importance)}</td>
                {row.cells.map((ratio, place) => (
                  <td key={grid.windows[place]} className={ratio === null ? undefined : `h${step(ratio)}`}>
                    {ratio === null ? "–" : ratio < 9.995 ? ratio.toFixed(2) : count(ratio)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {grid.features.length > MOST_FEATURES && (
        <button type="button" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show what matters most" : `Show all ${grid.features.length} features`}
        </button>
      )}
    </>
  );
}

function step(ratio: number): number {
  return Math.min(4, Math.max(0, Math.floor(ratio * 4)));
}
