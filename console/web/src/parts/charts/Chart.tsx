import { type ReactNode, useId } from "react";

/** Room around the plot for its axes, in the drawing's units; text is 11 of them high. */
const ROOM = { left: 46, right: 20, top: 24, bottom: 34 };
/** Width of a letter, at most, where a narrow screen enlarges the text. */
const LETTER = 7.5;

export type Plot = { x: (value: number) => number; y: (value: number) => number; left: number; right: number };
export type Tick = { at: number; label: string };

type Props = {
  /** What it shows. */
  title: string;
  /** What is to be seen in it, in words. */
  desc: string;
  x: [number, number];
  y: [number, number];
  xTicks: Tick[];
  xName?: string;
  yWords?: (value: number) => string;
  yName?: string;
  width?: number;
  height?: number;
  children: (plot: Plot) => ReactNode;
};

/** A drawing with linear axes, as inline SVG; the page's style rules its colours. */
export function Chart({ title, desc, x, y, xTicks, xName, yWords, yName, width = 440, height = 230, children }: Props) {
  const ids = { title: useId(), desc: useId() };
  const left = ROOM.left;
  const right = width - ROOM.right;
  const floor = height - ROOM.bottom;
  const plot: Plot = {
    x: (value) => rounded(left + ((value - x[0]) / (x[1] - x[0])) * (right - left)),
    y: (value) => rounded(floor - ((value - y[0]) / (y[1] - y[0])) * (floor - ROOM.top)),
    left,
    right,
  };
  const longest = Math.max(1, ...xTicks.map(({ label }) => label.length));
  const step = Math.ceil(xTicks.length / Math.max(1, Math.floor((right - left) / (LETTER * longest + 8))));
  return (
    <svg viewBox={`0 0 ${width} ${height}`} role="img" aria-labelledby={`${ids.title} ${ids.desc}`}>
      <title id={ids.title}>{title}</title>
      <desc id={ids.desc}>{desc}</desc>
      {yWords &&
        ticks(y[1])
          .filter((tick) => tick >= y[0])
          .map((tick) => (
            <g key={tick}>
              <line className="grid" x1={left} x2={right} y1={plot.y(tick)} y2={plot.y(tick)} />
              <text className="axis" x={left - 6} y={plot.y(tick) + 4} textAnchor="end">
                {yWords(tick)}
              </text>
            </g>
          ))}
      {yName && (
        <text className="axis" x={0} y={9}>
          {yName}
        </text>
      )}
      {xTicks
        .filter((_, place) => place % step === 0)
        .map(({ at, label }) => (
          <text key={at} className="axis" x={plot.x(at)} y={floor + 15} textAnchor="middle">
            {label}
          </text>
        ))}
      {xName && (
        <text className="axis" x={(left + right) / 2} y={height - 4} textAnchor="middle">
          {xName}
        </text>
      )}
      {children(plot)}
    </svg>
  );
}

type Point = [number, number];

/** Joins points. */
export function Line({ plot, points, kind }: { plot: Plot; points: Point[]; kind: string }) {
  return <polyline className={kind} points={points.map(([x, y]) => `${plot.x(x)},${plot.y(y)}`).join(" ")} />;
}

/** The interval of a small tenth may reach far up: it must not flatten all the others. */
export function reach(highs: number[], values: number[]): number {
  return 1.08 * Math.min(Math.max(0.01, ...highs), 1.6 * Math.max(0.01, ...values));
}

/** An interval at a place. */
export function Whisker({
  plot,
  at,
  low,
  high,
  kind = "",
}: {
  plot: Plot;
  at: number;
  low: number;
  high: number;
  kind?: string;
}) {
  const points: [number, number][] = [
    [at, low],
    [at, high],
  ];
  return <Line plot={plot} points={points} kind={`whisker ${kind}`} />;
}

/** A dashed line across, with its name above or below its right end. */
export function Level({ plot, at, label, below = false }: { plot: Plot; at: number; label: string; below?: boolean }) {
  const y = plot.y(at);
  return (
    <>
      <line className="rule" x1={plot.left} x2={plot.right} y1={y} y2={y} />
      <text className="mark" x={plot.right} y={y + (below ? 14 : -5)} textAnchor="end">
        {label}
      </text>
    </>
  );
}

/** A bar over a place, 0.8 of a place wide. */
export function Bar({
  plot,
  at,
  to,
  note,
  kind = "main",
}: {
  plot: Plot;
  at: number;
  to: number;
  note: string;
  kind?: string;
}) {
  const top = plot.y(to);
  return (
    <rect
      className={kind}
      x={plot.x(at - 0.4)}
      y={top}
      width={rounded(plot.x(at + 0.4) - plot.x(at - 0.4))}
      height={rounded(Math.max(0, plot.y(0) - top))}
    >
      <title>{note}</title>
    </rect>
  );
}

/** A point that tells its figures when it is pointed at. */
export function Dot({ plot, at, kind = "main", note }: { plot: Plot; at: Point; kind?: string; note: string }) {
  return (
    <circle className={kind} cx={plot.x(at[0])} cy={plot.y(at[1])} r={4}>
      <title>{note}</title>
    </circle>
  );
}

/** A figure with its key, and its numbers as a table for who would rather read them. */
export function Figure({ chart, caption, table }: { chart: ReactNode; caption: ReactNode; table: ReactNode }) {
  return (
    <figure className="chart">
      {chart}
      <figcaption>{caption}</figcaption>
      <details>
        <summary>The figures as a table</summary>
        {table}
      </details>
    </figure>
  );
}

export function Key({ kind }: { kind: string }) {
  return <span className={`key ${kind}`} />;
}

/** Round values from 0 up to `high`: three to six, 1, 2, 2.5 or 5 times a power of ten apart. */
export function ticks(high: number): number[] {
  if (!(high > 0)) return [0];
  const power = 10 ** Math.floor(Math.log10(high / 2));
  const wide = Math.max(...[1, 2, 5].map((factor) => factor * power).filter((step) => step <= (high / 2) * (1 + 1e-9)));
  const step = high / wide < 3 ? wide / 2 : wide;
  return Array.from({ length: Math.floor(high / step + 1e-9) + 1 }, (_, place) =>
    Number((place * step).toPrecision(12)),
  );
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
