import { useState } from "react";
import { Link } from "react-router";
import { day, percent } from "../../parts/words";
import type { Related, Trail } from "./claim";
import { became, sharing } from "./RelatedClaims";

const SIZE = 440;
const MIDDLE = SIZE / 2;
const INNER = 105;
const OUTER = 195;

type Placed = { x: number; y: number };

/** The claim in the middle, around it what it shares, and beyond that the claims with which. */
export function RelatedGraph({ claimId, related, trail }: { claimId: string; related: Related; trail: Trail }) {
  const [told, tell] = useState("");
  const { entities, claims } = layout(related);
  return (
    <figure className="graph">
      {/* biome-ignore lint/a11y/useSemanticElements: a group of links within a drawing */}
      <svg viewBox={`0 0 ${SIZE} ${SIZE}`} role="group" aria-label={`Claims related to claim ${claimId}`}>
        {entities.map((entity) => (
          <line key={entity.name} x1={MIDDLE} y1={MIDDLE} x2={entity.x} y2={entity.y} />
        ))}
        {claims.flatMap((claim) =>
          entities
            .filter(({ name }) => claim.shares.includes(name))
            .map(({ name, x, y }) => (
              <line key={`${name} ${claim.claim_id}`} x1={x} y1={y} x2={claim.x} y2={claim.y} />
            )),
        )}
        <circle className="middle" cx={MIDDLE} cy={MIDDLE} r={14} />
        {claims.map((claim) => {
          const said = [
            `Claim ${claim.claim_id} of ${day(claim.event_time)}`,
            sharing(related, claim.shares),
            claim.probability === null ? "no score" : percent(claim.probability),
            became(claim.outcome),
          ].join(" · ");
          const outcome = claim.outcome === null ? "open" : claim.outcome ? "fraud" : "honest";
          return (
            <Link
              key={claim.claim_id}
              to={`/claims/${encodeURIComponent(claim.claim_id)}`}
              state={trail}
              aria-label={said}
              onFocus={() => tell(said)}
              onPointerEnter={() => tell(said)}
            >
              <circle className="reach" cx={claim.x} cy={claim.y} r={16} />
              <circle className={outcome} cx={claim.x} cy={claim.y} r={5 + 7 * Math.sqrt(claim.probability ?? 0)} />
              {outcome === "fraud" && <path d={cross(claim)} />}
            </Link>
          );
        })}
        {entities.map((entity) => (
          <g key={entity.name}>
            <rect x={entity.x - 5} y={entity.y - 5} width={10} height={10} />
            <text x={entity.x} y={entity.y - 10}>
              {entity.title}
            </text>
          </g>
        ))}
      </svg>
      <figcaption>
        <p className="told">{told || "Point at a claim, or go to it with the Tab key, to see what it is."}</p>
        <ul className="legend">
          <li>
            <Mark outcome="fraud" /> fraud
          </li>
          <li>
            <Mark outcome="honest" /> not fraud
          </li>
          <li>
            <Mark outcome="open" /> not decided
          </li>
          <li>the larger, the more probable fraud is</li>
        </ul>
      </figcaption>
    </figure>
  );
}

function Mark({ outcome }: { outcome: "fraud" | "honest" | "open" }) {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <circle className={outcome} cx={8} cy={8} r={6} />
      {outcome === "fraud" && <path d={cross({ x: 8, y: 8 })} />}
    </svg>
  );
}

/** So that frauds are told apart without their colour. */
function cross({ x, y }: Placed): string {
  return `M${x - 3} ${y - 3}l6 6m0-6l-6 6`;
}

function layout({ entities, claims }: Related) {
  const shared = entities.filter((entity) => entity.shared);
  const many = (name: string) => claims.filter(({ shares }) => shares.includes(name)).length;
  const rarest = shared.toSorted((one, other) => many(one.name) - many(other.name));
  const first = (shares: string[]) => {
    const found = rarest.find(({ name }) => shares.includes(name));
    return shared.findIndex(({ name }) => name === found?.name);
  };
  // By the rarest thing they share, evenly around: so each entity has its claims side by side.
  const around = claims.toSorted((one, other) => first(one.shares) - first(other.shares));
  const angles = around.map((_, place) => (2 * Math.PI * (place + 0.5)) / around.length - Math.PI / 2);
  const own = shared.map((_, place) => angles.filter((_angle, at) => first(around[at]?.shares ?? []) === place));
  const empty = own.filter((found) => found.length === 0).length;
  let spare = 0;
  return {
    claims: around.map((claim, place) => ({ ...claim, ...placed(angles[place] ?? 0, OUTER) })),
    entities: shared.map((entity, place) => {
      const mine = own[place] ?? [];
      // One whose claims all stand with another entity gets a place of its own.
      const angle = mine.length
        ? mine.reduce((sum, at) => sum + at, 0) / mine.length
        : (2 * Math.PI * ++spare) / (empty + 1);
      return { ...entity, ...placed(angle, mine.length ? INNER : INNER / 1.7) };
    }),
  };
}

function placed(angle: number, radius: number): Placed {
  return { x: MIDDLE + radius * Math.cos(angle), y: MIDDLE + radius * Math.sin(angle) };
}
