import { useState } from "react";
import { Cards, DataTable, Verdict } from "../../parts/charts/DataTable";
import { count, day, figure, interval, share, words } from "../../parts/charts/words";
import { Bias } from "./Bias";
import { Lift, PrecisionRecall, Reliability } from "./Charts";
import type { Gate, Judged } from "./told";

/** Features that are told at once; the rest is a click away. */
const MOST_FEATURES = 15;

/** What one model showed on claims that it had never seen. */
export function JudgedModel({ judged }: { judged: Judged }) {
  if (judged.alias === null) {
    return <p>Model {judged.model_version} waits for its verdict: the next run of evaluate judges it.</p>;
  }
  const ranking = judged.ranking ?? {};
  const { capacity } = judged;
  const net = capacity?.net;
  const money = (value: number | null | undefined) => `${figure(value)}${judged.unit ? ` ${judged.unit}` : ""}`;
  return (
    <>
      <p>
        Model {judged.model_version} ({words(judged.family)}) learnt from {count(judged.claims)} claims of{" "}
        {day(judged.train_start)} to {day(judged.train_end)} and was judged on{" "}
        {count(judged.tenths.reduce((sum, row) => sum + row.claims, 0))} claims of {day(judged.judged_start)} to{" "}
        {day(judged.judged_end)} whose outcome was known: {judged.reason}.
      </p>
      {judged.caveat && (
        <p>
          <strong>Optimistic figures.</strong> They are {judged.caveat}.
        </p>
      )}
      {judged.tenths.length === 0 ? (
        <p>No outcome of those claims was known, so there are no figures.</p>
      ) : (
        <>
          <Cards
            of={[
              {
                name: "Average precision",
                value: figure(ranking.average_precision?.value),
                note: interval(ranking.average_precision, figure),
              },
              {
                name: "Lift of the top tenth",
                value: figure(ranking.lift_top_decile?.value),
                note: interval(ranking.lift_top_decile, figure),
              },
              { name: "AUC", value: figure(ranking.roc_auc?.value), note: interval(ranking.roc_auc, figure) },
              ...(judged.against_champion
                ? [
                    {
                      name: "Average precision less the champion’s",
                      value: figure(judged.against_champion.value),
                      note: interval(judged.against_champion, figure),
                    },
                  ]
                : []),
            ]}
          />
          <div className="pair">
            <Lift tenths={judged.tenths} />
            {judged.calibration && <Reliability rates={judged.calibration.deciles} />}
          </div>
          {capacity && (
            <>
              <h3>At the investigators’ capacity</h3>
              <p>
                With {count(judged.review.capacity_per_week)} reviews a week, claims are flagged from a probability of{" "}
                {share(judged.threshold)}: {count(capacity.flagged)} of the {count(capacity.claims)} judged claims.
              </p>
              <Cards
                of={[
                  {
                    name: "Recall: frauds found",
                    value: share(capacity.recall.value),
                    note: interval(capacity.recall, share),
                  },
                  {
                    name: "Precision: frauds among the reviewed",
                    value: share(capacity.precision.value),
                    note: interval(capacity.precision, share),
                  },
                  ...(net && capacity.caught && capacity.cost
                    ? [
                        {
                          name: "Claimed by the frauds found",
                          value: money(capacity.caught.value),
                          note: interval(capacity.caught, figure),
                        },
                        {
                          name: "Cost of the reviews",
                          value: money(capacity.cost.value),
                          note: `${money(judged.review.cost)} a review`,
                        },
                        { name: "The one less the other", value: money(net.value), note: interval(net, figure) },
                      ]
                    : []),
                ]}
              />
              {net && (
                <p className="soft">
                  {capacity.amounts_unknown > 0 &&
                    `Frauds found without an amount (${count(capacity.amounts_unknown)}) count as 0. `}
                  The amount claimed is not always what is saved.
                </p>
              )}
            </>
          )}
          {judged.curve && judged.curve.length > 0 && (
            <div className="pair">
              <PrecisionRecall curve={judged.curve} judged={judged} capacity={capacity} />
            </div>
          )}
        </>
      )}
      <h2 id="gates">Gates</h2>
      <Gates gates={judged.gates ?? []} version={judged.model_version} />
      <h2 id="bias">Bias</h2>
      <Bias judged={judged} />
      <h2 id="importance">What it goes by</h2>
      <Importance judged={judged} />
      {judged.slices.length > 0 && <Slices judged={judged} />}
      <h2 id="card">Model card</h2>
      {judged.card ? <Card key={judged.model_version} version={judged.model_version} /> : <p>It has no card.</p>}
    </>
  );
}

function Gates({ gates, version }: { gates: Gate[]; version: number }) {
  return (
    <DataTable
      caption={`Gates of model ${version}: what the contract asks`}
      rows={gates}
      keyOf={(gate) => gate.name}
      columns={[
        { name: "Gate", cell: (gate) => gate.name.charAt(0).toUpperCase() + words(gate.name.slice(1)) },
        { name: "Value", kind: "number", cell: (gate) => figure(gate.value) },
        { name: "Limit", kind: "number", cell: (gate) => `${gate.asks} ${figure(gate.limit)}` },
        {
          name: "Verdict",
          cell: (gate) => <Verdict good={gate.passed}>{gate.passed ? "passed" : "failed"}</Verdict>,
        },
      ]}
    />
  );
}

function Importance({ judged }: { judged: Judged }) {
  const [all, setAll] = useState(false);
  const most = judged.importance[0]?.share ?? 1;
  if (judged.importance.length === 0) return <p>How much each feature weighs was not measured.</p>;
  return (
    <>
      <DataTable
        caption="Share of each feature in the model’s decisions, on the claims that judged it"
        rows={all ? judged.importance : judged.importance.slice(0, MOST_FEATURES)}
        keyOf={(row) => row.feature}
        columns={[
          { name: "Feature", cell: (row) => words(row.feature) },
          { name: "Share", kind: "number", cell: (row) => share(row.share) },
          {
            name: <span className="hidden">Drawn</span>,
            cell: (row) => (
              <svg className="meter" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
                <rect width={(100 * row.share) / most} height={8} />
              </svg>
            ),
          },
        ]}
      />
      {judged.importance.length > MOST_FEATURES && (
        <button type="button" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Show the most important" : `Show all ${judged.importance.length}`}
        </button>
      )}
    </>
  );
}

function Slices({ judged }: { judged: Judged }) {
  return (
    <>
      <h3>Where it misses</h3>
      <p className="soft">
        Kinds of claims in which frauds are more, or fewer, than the model says. A positive error: frauds that it does
        not see coming. A negative one: claims suspected in vain.
      </p>
      <DataTable
        caption="Slices, the largest error first; the intervals hold together with 95 %"
        rows={judged.slices}
        keyOf={(row) => row.words}
        columns={[
          { name: "Claims in which", kind: "wide", cell: (row) => row.words },
          { name: "Claims", kind: "number", cell: (row) => count(row.claims) },
          { name: "Frauds", kind: "number", cell: (row) => count(row.frauds) },
          { name: "Expected", kind: "number", cell: (row) => figure(row.expected, 2) },
          { name: "Missed", kind: "number", cell: (row) => count(row.missed) },
          { name: "Error of the rate", kind: "number", cell: (row) => share(row.error.value) },
          { name: "Interval", kind: "number", cell: (row) => `${share(row.error.low)} to ${share(row.error.high)}` },
        ]}
      />
    </>
  );
}

function Card({ version }: { version: number }) {
  const [open, setOpen] = useState(false);
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>What model {version} is for and not for, how it came about, and where it fails</summary>
      {open && (
        <iframe
          className="card-page"
          sandbox=""
          src={`/api/model/${version}/card`}
          title={`Model card of model ${version}`}
        />
      )}
    </details>
  );
}
