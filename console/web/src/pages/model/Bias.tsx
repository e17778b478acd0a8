import { Bar, Chart, Dot, Figure, Key, reach, Whisker } from "../../parts/charts/Chart";
import { DataTable } from "../../parts/charts/DataTable";
import { count, interval, share, words } from "../../parts/charts/words";
import type { Fairness, Judged } from "./told";

/** Letters of a name below its bar; the table has it whole. */
const SHORT = 14;

/** Whether groups of people are treated alike. */
export function Bias({ judged }: { judged: Judged }) {
  if (judged.fairness.length === 0) {
    return (
      <p>
        {judged.sensitive.length > 0
          ? "The model was judged before groups were compared; the next one will be."
          : "The contract calls no column sensitive, so no groups are held against each other."}
      </p>
    );
  }
  return (
    <>
      <p>
        How many claims of each group are flagged, and how many of its frauds. A difference has to be explained, or be
        small; what the contract allows is among the gates.
      </p>
      {judged.fairness.map((found) => (
        <section key={found.column} aria-label={`Bias by ${words(found.column)}`}>
          <h3>{words(found.column)}</h3>
          <div className="pair">
            {found.groups.length > 0 && <Groups found={found} />}
            <Disparities found={found} />
          </div>
        </section>
      ))}
    </>
  );
}

function spread(bounds: [number, number] | null): string {
  return bounds === null ? "" : ` (${share(bounds[0])} to ${share(bounds[1])})`;
}

/** Share flagged of each group of a sensitive column, and of its frauds where these are enough. */
function Groups({ found }: { found: Fairness }) {
  const told = found.groups.map((group) => ({
    ...group,
    few: found.few_frauds.includes(group.name),
    label: group.name.length <= SHORT ? group.name : `${group.name.slice(0, SHORT - 1)}…`,
  }));
  const shown = told.filter((group) => !group.few);
  const most = reach(
    [...told.map((group) => group.flagged?.[1] ?? 0), ...shown.map((group) => group.found?.[1] ?? 0)],
    [...told.map((group) => group.flagged_share ?? 0), ...shown.map((group) => group.recall ?? 0)],
  );
  return (
    <Figure
      chart={
        <Chart
          title={`Share flagged by ${words(found.column)}`}
          desc={told.map((group) => `${group.name}: ${share(group.flagged_share)} flagged`).join("; ")}
          x={[-0.6, told.length - 0.4]}
          y={[0, most]}
          xTicks={told.map(({ label }, at) => ({ at, label }))}
          xName={words(found.column)}
          yWords={share}
          yName="flagged"
        >
          {(plot) =>
            told.map((group, at) => (
              <g key={group.name}>
                <Bar
                  plot={plot}
                  at={at}
                  to={group.flagged_share ?? 0}
                  note={`${group.name}: ${share(group.flagged_share)} flagged`}
                />
                {group.flagged && (
                  <Whisker plot={plot} at={at - 0.12} low={group.flagged[0]} high={Math.min(group.flagged[1], most)} />
                )}
                {!group.few && group.found && group.recall !== null && (
                  <>
                    <Whisker
                      plot={plot}
                      at={at + 0.12}
                      low={group.found[0]}
                      high={Math.min(group.found[1], most)}
                      kind="other"
                    />
                    <Dot
                      plot={plot}
                      at={[at + 0.12, group.recall]}
                      kind="other"
                      note={`${group.name}: ${share(group.recall)} of its frauds flagged`}
                    />
                  </>
                )}
              </g>
            ))
          }
        </Chart>
      }
      caption={
        <>
          <Key kind="main" />
          share of the claims flagged <Key kind="other" />
          share of the frauds flagged; lines are 95 % intervals
        </>
      }
      table={
        <DataTable
          caption={`Groups of ${words(found.column)}, by ${found.by}`}
          rows={told}
          keyOf={(group) => group.name}
          columns={[
            { name: "Group", cell: (group) => group.name },
            { name: "Claims", kind: "number", cell: (group) => count(group.claims) },
            {
              name: "Flagged (95 %)",
              kind: "number",
              cell: (group) => share(group.flagged_share) + spread(group.flagged),
            },
            { name: "Frauds", kind: "number", cell: (group) => count(group.frauds) },
            {
              name: "Frauds flagged (95 %)",
              kind: "number",
              cell: (group) => share(group.recall) + spread(group.found),
            },
          ]}
        />
      }
    />
  );
}

/** How far groups are apart at most, in a sentence each. */
function Disparities({ found }: { found: Fairness }) {
  const said: [string, Fairness["demographic_parity"]][] = [
    ["Shares flagged", found.demographic_parity],
    ["Shares of frauds flagged", found.equal_opportunity],
  ];
  return (
    <ul>
      {said.map(([name, estimate]) => (
        <li key={name}>
          {name} differ by{" "}
          {estimate
            ? `${share(estimate.value)} at most (${interval(estimate, share)}).`
            : "what cannot be told: fewer than two groups are large enough."}
        </li>
      ))}
      {found.few_claims.length > 0 && <li>Too small to be judged: {found.few_claims.join(", ")}.</li>}
      {found.few_frauds.length > 0 && <li>Too few frauds to compare those flagged: {found.few_frauds.join(", ")}.</li>}
    </ul>
  );
}
