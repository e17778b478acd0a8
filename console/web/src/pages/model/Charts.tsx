import { Bar, Chart, Dot, Figure, Key, Level, Line, reach, ticks, Whisker } from "../../parts/charts/Chart";
import { DataTable } from "../../parts/charts/DataTable";
import { count, day, figure, share } from "../../parts/charts/words";
import type { Capacity, Entry, Judged, Point, Rate, Tenth } from "./told";

/** Points of a curve that its table tells. */
const CURVE_ROWS = 20;

/** Actual and expected fraud rate of each tenth of the claims, from the highest probability down. */
export function Lift({ tenths }: { tenths: Tenth[] }) {
  const claims = tenths.reduce((sum, row) => sum + row.claims, 0);
  const average = tenths.reduce((sum, row) => sum + row.frauds, 0) / claims;
  const most = reach(
    tenths.map((row) => row.high),
    tenths.flatMap((row) => [row.rate, row.expected_rate]),
  );
  const first = tenths[0];
  return (
    <Figure
      chart={
        <Chart
          title="Fraud rate by tenth of the claims"
          desc={`From the highest probability to the lowest. The first tenth holds ${figure(first?.lift)} times the average of ${share(average)}.`}
          x={[-0.6, tenths.length - 0.4]}
          y={[0, most]}
          xTicks={tenths.map((row, at) => ({ at, label: String(row.place) }))}
          xName="tenth of the claims, highest probability first"
          yWords={share}
          yName="fraud rate"
        >
          {(plot) => (
            <>
              {tenths.map((row, at) => (
                <g key={row.place}>
                  <Bar
                    plot={plot}
                    at={at}
                    to={row.rate}
                    note={`tenth ${row.place}: ${share(row.rate)} fraud, ${share(row.expected_rate)} predicted`}
                  />
                  <Whisker plot={plot} at={at} low={row.low} high={Math.min(row.high, most)} />
                  <Dot
                    plot={plot}
                    at={[at, row.expected_rate]}
                    kind="other"
                    note={`predicted ${share(row.expected_rate)}`}
                  />
                </g>
              ))}
              <Level plot={plot} at={average} label={`average ${share(average)}`} />
            </>
          )}
        </Chart>
      }
      caption={
        <>
          <Key kind="main" />
          actual fraud rate, with its 95 % interval <Key kind="other" />
          predicted; the dashed line is the average
        </>
      }
      table={
        <DataTable
          caption="The judged claims by tenth of the ranking"
          rows={tenths}
          keyOf={(row) => row.place}
          columns={[
            { name: "Tenth", cell: (row) => (row.place === 1 ? "1, highest" : row.place) },
            { name: "Claims", kind: "number", cell: (row) => count(row.claims) },
            { name: "Frauds predicted", kind: "number", cell: (row) => figure(row.expected) },
            { name: "Frauds", kind: "number", cell: (row) => figure(row.frauds) },
            {
              name: "Fraud rate (95 %)",
              kind: "number",
              cell: (row) => `${share(row.rate)} (${share(row.low)} to ${share(row.high)})`,
            },
            {
              name: "Lift (95 %)",
              kind: "number",
              cell: (row) => `${figure(row.lift)} (${figure(row.lift_low)} to ${figure(row.lift_high)})`,
            },
            { name: "Found so far", kind: "number", cell: (row) => share(row.cumulative_recall) },
          ]}
        />
      }
    />
  );
}

/** Whether as many claims are fraud as the probabilities say. */
export function Reliability({ rates }: { rates: Rate[] }) {
  const most = reach(
    rates.map((row) => row.high),
    rates.flatMap((row) => [row.expected, row.actual]),
  );
  return (
    <Figure
      chart={
        <Chart
          title="Actual by expected fraud rate"
          desc="A point for each tenth of the claims, with its 95 % interval. On the dashed line the probabilities are right."
          x={[0, most]}
          y={[0, most]}
          xTicks={ticks(most).map((at) => ({ at, label: share(at) }))}
          xName="expected fraud rate"
          yWords={share}
          yName="actual fraud rate"
        >
          {(plot) => (
            <>
              <Line
                plot={plot}
                kind="rule"
                points={[
                  [0, 0],
                  [most, most],
                ]}
              />
              {rates.map((row) => (
                <g key={row.expected}>
                  <Whisker plot={plot} at={row.expected} low={row.low} high={Math.min(row.high, most)} />
                  <Dot
                    plot={plot}
                    at={[row.expected, Math.min(row.actual, most)]}
                    note={`${share(row.expected)} expected, ${share(row.actual)} actual`}
                  />
                </g>
              ))}
            </>
          )}
        </Chart>
      }
      caption={
        <>
          <Key kind="main" />
          tenths of the claims, with 95 % intervals; on the dashed line the probabilities are right
        </>
      }
      table={
        <DataTable
          caption="Expected and actual fraud rate by tenth"
          rows={rates}
          keyOf={(_, place) => place}
          columns={[
            { name: "Tenth", cell: (_, place) => (place === 0 ? "1, highest" : place + 1) },
            { name: "Expected", kind: "number", cell: (row) => share(row.expected) },
            { name: "Actual", kind: "number", cell: (row) => share(row.actual) },
            { name: "95 % interval", kind: "number", cell: (row) => `${share(row.low)} to ${share(row.high)}` },
          ]}
        />
      }
    />
  );
}

/** Share of frauds among the claims from the top by share of all frauds found, and where the capacity lies on it. */
export function PrecisionRecall({
  curve,
  judged,
  capacity,
}: {
  curve: Point[];
  judged: Judged;
  capacity: Capacity | null;
}) {
  const chance = judged.ranking?.prevalence?.value ?? 0;
  const reached = [chance, capacity?.precision.high ?? 0, ...curve.map((row) => row.precision)];
  const most = Math.min(1, 1.15 * Math.max(...reached));
  const at: [number, number] | null =
    capacity?.recall.value == null || capacity.precision.value == null
      ? null
      : [capacity.recall.value, capacity.precision.value];
  const step = Math.ceil(curve.length / CURVE_ROWS) || 1;
  return (
    <Figure
      chart={
        <Chart
          title="Precision by recall"
          desc={`Average precision ${figure(judged.ranking?.average_precision?.value)}; chance is ${share(chance)}.`}
          x={[0, 1]}
          y={[0, most]}
          xTicks={[0, 0.2, 0.4, 0.6, 0.8, 1].map((place) => ({ at: place, label: share(place) }))}
          xName="recall: frauds found"
          yWords={share}
          yName="precision: frauds among the looked at"
        >
          {(plot) => (
            <>
              <Level plot={plot} at={chance} label={`chance ${share(chance)}`} below />
              <Line plot={plot} kind="main" points={curve.map((row) => [row.recall, row.precision])} />
              {at && capacity && (
                <>
                  <Whisker
                    plot={plot}
                    at={at[0]}
                    low={capacity.precision.low ?? at[1]}
                    high={capacity.precision.high ?? at[1]}
                    kind="other"
                  />
                  <Line
                    plot={plot}
                    kind="whisker other"
                    points={[
                      [capacity.recall.low ?? at[0], at[1]],
                      [capacity.recall.high ?? at[0], at[1]],
                    ]}
                  />
                  <Dot
                    plot={plot}
                    at={at}
                    kind="other"
                    note={`at the capacity: recall ${share(at[0])}, precision ${share(at[1])}`}
                  />
                </>
              )}
            </>
          )}
        </Chart>
      }
      caption={
        <>
          <Key kind="main" />
          from the highest probability down <Key kind="other" />
          at the investigators’ capacity, with 95 % intervals; the dashed line is chance
        </>
      }
      table={
        <DataTable
          caption="From the highest probability down"
          rows={curve.filter((_, place) => place % step === 0 || place === curve.length - 1)}
          keyOf={(_, place) => place}
          columns={[
            { name: "Claims looked at", kind: "number", cell: (row) => share(row.claims) },
            { name: "Recall", kind: "number", cell: (row) => share(row.recall) },
            { name: "Precision", kind: "number", cell: (row) => share(row.precision) },
          ]}
        />
      }
    />
  );
}

/** When which model was live, a row a model, the first at the top. */
export function Timeline({ champions, until }: { champions: Entry[]; until: string }) {
  const first = champions[0];
  if (!first) return null;
  const moment = (at: string) => Date.parse(at) / 1000;
  const begins = moment(first.as_of);
  const length = Math.max(moment(until) - begins, 1);
  const versions = [...new Set(champions.map((entry) => entry.model_version))];
  const at = (part: number) => new Date((begins + part * length) * 1000).toISOString().slice(0, 10);
  return (
    <figure className="chart">
      <Chart
        title="When which model was live"
        desc={champions
          .map(
            (entry) =>
              `Model ${entry.model_version}: ${day(entry.as_of)} to ${entry.live_until ? day(entry.live_until) : "now"}`,
          )
          .join("; ")}
        x={[0, length]}
        y={[-versions.length, 0]}
        xTicks={[0, 1 / 3, 2 / 3, 1].map((part) => ({ at: part * length, label: at(part) }))}
        yName="model"
        height={70 + 24 * versions.length}
      >
        {(plot) => (
          <>
            {versions.map((version, place) => (
              <text key={version} className="axis" x={30} y={plot.y(-place - 0.5) + 4} textAnchor="end">
                {version}
              </text>
            ))}
            {champions.map((entry) => {
              const left = plot.x(moment(entry.as_of) - begins);
              const right = plot.x((entry.live_until ? moment(entry.live_until) : moment(until)) - begins);
              return (
                <rect
                  key={entry.entry_id}
                  className={entry.action === "rollback" ? "other" : "main"}
                  x={left}
                  y={plot.y(-versions.indexOf(entry.model_version) - 0.5) - 7}
                  width={Math.max(right - left, 2)}
                  height={14}
                >
                  <title>{`model ${entry.model_version}: ${day(entry.as_of)} to ${entry.live_until ? day(entry.live_until) : "now"}`}</title>
                </rect>
              );
            })}
          </>
        )}
      </Chart>
      <figcaption>
        <Key kind="main" />
        time in which a model was the champion <Key kind="bar" />
        after a rollback
      </figcaption>
    </figure>
  );
}
