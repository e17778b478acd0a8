import { percent } from "../../parts/words";

const HEIGHT = 44;

/** How the probabilities of a week's claims lie between 0 and 100 %, and where this one does. */
export function WeekStrip({ counts, probability }: { counts: number[]; probability: number }) {
  const most = Math.max(...counts, 1);
  const width = 100 / counts.length;
  return (
    <figure className="week-strip">
      <svg
        viewBox={`0 0 100 ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Probabilities of the week's claims; this one has ${percent(probability)}`}
      >
        {counts.map((count, place) => {
          // By the root, since most claims have a low probability and the few others would not be seen.
          const height = Math.sqrt(count / most) * (HEIGHT - 4);
          const left = place * width;
          return <rect key={left} x={left} width={width * 0.8} y={HEIGHT - height} height={height} />;
        })}
        <line x1={probability * 100} x2={probability * 100} y1={0} y2={HEIGHT} />
      </svg>
      <figcaption>
        <span>0 %</span>
        <span>the week’s claims</span>
        <span>100 %</span>
      </figcaption>
    </figure>
  );
}
