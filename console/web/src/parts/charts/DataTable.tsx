import type { ReactNode } from "react";

export type Column<Row> = {
  name: ReactNode;
  /** What stands in the cell; the first column's heads its row. */
  cell: (row: Row, place: number) => ReactNode;
  kind?: "number" | "wide";
};

type Props<Row> = {
  caption: string;
  columns: Column<Row>[];
  rows: Row[];
  keyOf: (row: Row, place: number) => string | number;
  chosen?: (row: Row) => boolean;
};

/** A table that scrolls sideways by itself, also by keyboard. */
export function DataTable<Row>({ caption, columns, rows, keyOf, chosen }: Props<Row>) {
  return (
    <Scroll label={caption}>
      <table>
        <caption>
          <span>{caption}</span>
        </caption>
        <thead>
          <tr>
            {columns.map(({ name, kind }, place) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: columns stay where they are
              <th key={place} scope="col" className={kind}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, place) => (
            <tr key={keyOf(row, place)} className={chosen?.(row) ? "chosen" : undefined}>
              {columns.map(({ cell, kind }, at) =>
                at === 0 ? (
                  // biome-ignore lint/suspicious/noArrayIndexKey: columns stay where they are
                  <th key={at} scope="row" className={kind}>
                    {cell(row, place)}
                  </th>
                ) : (
                  // biome-ignore lint/suspicious/noArrayIndexKey: columns stay where they are
                  <td key={at} className={kind}>
                    {cell(row, place)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** Room that scrolls sideways, where the page must not. */
export function Scroll({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <section className="scroll" aria-label={label} tabIndex={0}>
      {children}
    </section>
  );
}

/** Whether it is good or bad, never by colour alone: the word says it too. */
export function Verdict({ good, children }: { good: boolean; children: ReactNode }) {
  return <span className={good ? "good" : "bad"}>{children}</span>;
}

/** Figures in cards: a name, a number, and what is to be said of it. */
export function Cards({
  of,
  long = false,
}: {
  long?: boolean;
  of: { name: string; value: ReactNode; note?: ReactNode }[];
}) {
  return (
    <dl className={long ? "cards long" : "cards"}>
      {of.map(({ name, value, note }) => (
        <div key={name} className="card">
          <dt>{name}</dt>
          <dd className="big">{value}</dd>
          {note && <dd>{note}</dd>}
        </div>
      ))}
    </dl>
  );
}
