import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Link } from "react-router";
import { type Alert, useSight } from "./alerts";
import { usePhone } from "./usePhone";
import { caseWork, day, inWords, share, standing, whole, why } from "./words";

/** As in worklist.css, where a card is 8 lower than its row. */
const HEIGHTS = { row: 64, card: 196 };
const OVERSCAN = 6;
/** Room that a row keeps from what sticks to the window: the header above, the actions below. */
const ABOVE = 60;
const BELOW = 90;
const PAGE = 12;

type Props = {
  total: number;
  unit: string;
  kind: string | null;
  list: string;
  sort: string;
  names: Record<string, string>;
  login: string;
  alertAt: (index: number) => Alert | undefined;
  setSight: (sight: { first: number; last: number }) => void;
  active: number;
  setActive: (index: number) => void;
  onOpen: (claim: string) => void;
  onNext: () => void;
};

/**
 * All alerts as one table, of which only the rows in sight are there. The table has the focus, and one of its rows is
 * active: so focus is kept while rows come and go.
 */
export function Grid(props: Props) {
  const { total, unit, kind, list, sort, names, login, alertAt, setSight, active, setActive, onOpen, onNext } = props;
  const body = useRef<HTMLTableSectionElement>(null);
  const [top, setTop] = useState(0);
  const height = usePhone() ? HEIGHTS.card : HEIGHTS.row;
  const rows = useWindowVirtualizer({
    count: total,
    estimateSize: () => height,
    overscan: OVERSCAN,
    scrollMargin: top,
    scrollPaddingStart: ABOVE,
    scrollPaddingEnd: BELOW,
  });
  // What stands above may grow or wrap.
  useLayoutEffect(() => {
    const now = body.current === null ? 0 : body.current.getBoundingClientRect().top + window.scrollY;
    if (Math.abs(now - top) > 1) setTop(now);
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows of another height are measured anew
  useEffect(() => rows.measure(), [height]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, for who comes back
  useEffect(() => {
    if (active > 0) rows.scrollToIndex(active, { align: "center" });
  }, []);
  const shown = rows.getVirtualItems();
  const inUnit = unit && ` (${unit})`;
  useSight(setSight, shown[0]?.index ?? 0, shown.at(-1)?.index ?? 0);

  function move(event: KeyboardEvent) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = target(event.key, active, total);
    if (to !== undefined) {
      setActive(to);
      rows.scrollToIndex(to);
    } else if (event.key === "Enter" && event.target === event.currentTarget) {
      const alert = alertAt(active);
      if (alert) onOpen(alert.claim_id);
    } else if (event.key === "n") onNext();
    else return;
    event.preventDefault();
  }

  const sorted = (column: string) => (column === sort ? ({ "aria-sort": "descending" } as const) : {});
  return (
    <table
      // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: rows are moved through by keys
      role="grid"
      className="alerts"
      aria-rowcount={total + 1}
      aria-activedescendant={shown.some(({ index }) => index === active) ? `alert-${active}` : undefined}
      tabIndex={0}
      onKeyDown={move}
    >
      <caption className="hidden">
        Alerts, ranked. Keys: arrows, j and k move, Enter opens the claim, n takes the next case.
      </caption>
      <thead>
        <tr aria-rowindex={1}>
          <th scope="col">Claim</th>
          <th
            scope="col"
            {...sorted("week")}
            title="Week of the claim's event (its Monday), and rank in it by probability"
          >
            Week, rank
          </th>
          {kind !== null && <th scope="col">{inWords(kind)}</th>}
          <th scope="col" className="number" {...sorted("amount")}>
            Amount{inUnit}
          </th>
          <th scope="col" className="number" {...sorted("probability")} title="Probability of fraud, as the model says">
            Probability
          </th>
          <th scope="col" className="number" {...sorted("expected_loss")} title="Probability times amount">
            Expected loss{inUnit}
          </th>
          <th scope="col">State</th>
          <th scope="col" className="hidden">
            Why
          </th>
        </tr>
      </thead>
      <tbody ref={body} style={{ height: rows.getTotalSize() }}>
        {shown.map(({ index, start }) => (
          <Row
            key={index}
            index={index}
            start={start - rows.options.scrollMargin}
            alert={alertAt(index)}
            active={index === active}
            kind={kind && inWords(kind)}
            inUnit={inUnit}
            list={list}
            names={names}
            login={login}
            setActive={setActive}
          />
        ))}
      </tbody>
    </table>
  );
}

type RowProps = {
  index: number;
  start: number;
  alert: Alert | undefined;
  active: boolean;
  kind: string | null;
  inUnit: string;
  list: string;
  names: Record<string, string>;
  login: string;
  setActive: (index: number) => void;
};

const Row = memo(function Row({ index, start, alert, active, kind, inUnit, list, names, login, setActive }: RowProps) {
  const state = alert && standing(alert, login, names);
  return (
    <tr
      id={`alert-${index}`}
      aria-rowindex={index + 2}
      aria-selected={active}
      aria-busy={alert === undefined}
      style={{ transform: `translateY(${start}px)` }}
      onClick={() => setActive(index)}
    >
      <th scope="row">
        {alert ? (
          <Link to={`/claims/${encodeURIComponent(alert.claim_id)}`} {...caseWork(list, login)} tabIndex={-1}>
            {alert.claim_id}
          </Link>
        ) : (
          "…"
        )}
        {alert?.audited && (
          <span className="tag" title="Drawn at random, whatever the model says">
            audit
          </span>
        )}
      </th>
      <td data-label="Week">{alert && `${day(alert.week)}, ${alert.rank}`}</td>
      {kind !== null && <td data-label={kind}>{alert && (alert.kind ?? "–")}</td>}
      <td data-label={`Amount${inUnit}`} className="number">
        {alert && whole(alert.amount)}
      </td>
      <td data-label="Probability" className="number">
        {alert && share(alert.probability)}
      </td>
      <td data-label={`Expected loss${inUnit}`} className="number stake">
        {alert && whole(alert.expected_loss)}
      </td>
      <td data-label="State">{state && <span className={`state ${state.sort}`}>{state.word}</span>}</td>
      <td className="why" title={alert?.reason ?? undefined}>
        {alert && why(alert.reason)}
      </td>
    </tr>
  );
});

function target(key: string, active: number, total: number): number | undefined {
  const steps: Record<string, number> = {
    ArrowDown: active + 1,
    j: active + 1,
    ArrowUp: active - 1,
    k: active - 1,
    PageDown: active + PAGE,
    PageUp: active - PAGE,
    Home: 0,
    End: total - 1,
  };
  const to = steps[key];
  return to === undefined ? undefined : Math.max(0, Math.min(total - 1, to));
}
