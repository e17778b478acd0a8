import { type ReactNode, useEffect, useId, useState } from "react";
import type { Part as Answer } from "./alerts";
import { type Part, SAMPLES, SORTS, STATES } from "./filter";
import { usePhone } from "./usePhone";
import { day, inWords, whole } from "./words";

type Choose = (part: Part, value: string, how?: { typed?: boolean }) => void;
type Props = { filter: URLSearchParams; choose: Choose; answer: Answer | undefined };

/** What to show of the worklist; beside each choice stands how many alerts it has. */
export function Filters({ filter, choose, answer }: Props) {
  const counted = (facet: "week" | "kind" | "sample" | "state") => answer?.facets[facet] ?? [];
  const kind = inWords(answer?.kind ?? "kind");
  const unit = answer?.unit ? ` (${answer.unit})` : "";
  const share = filter.get("min_probability");
  const phone = usePhone();
  return (
    <search>
      <details open={!phone || undefined}>
        <summary>Filter and order</summary>
        <form className="filters" aria-label="Filter" onSubmit={(event) => event.preventDefault()}>
          <Typed label="Claim" type="search" value={filter.get("search")} set={(to) => choose("search", to, TYPED)} />
          <Choice label="State" value={filter.get("state")} set={(to) => choose("state", to)}>
            {counted("state").map(({ value, count }) => (
              <option key={value} value={value}>
                {STATES[value as keyof typeof STATES]} ({whole(count)})
              </option>
            ))}
          </Choice>
          <Choice label="Week" value={filter.get("week")} set={(to) => choose("week", to)}>
            {counted("week").map(({ value, count }) => (
              <option key={value} value={value}>
                {day(value)} ({whole(count)})
              </option>
            ))}
          </Choice>
          {answer?.kind !== null && (
            <Choice label={kind} value={filter.get("kind")} set={(to) => choose("kind", to)}>
              {counted("kind").map(({ value, count }) => (
                <option key={value} value={value}>
                  {value} ({whole(count)})
                </option>
              ))}
            </Choice>
          )}
          <Choice label="Chosen by" value={filter.get("sample")} set={(to) => choose("sample", to)}>
            {counted("sample").map(({ value, count }) => (
              <option key={value} value={value}>
                {SAMPLES[value as keyof typeof SAMPLES]} ({whole(count)})
              </option>
            ))}
          </Choice>
          <Typed
            label={`Amount from${unit}`}
            type="number"
            value={filter.get("min_amount")}
            set={(to) => choose("min_amount", to, TYPED)}
          />
          <Typed
            label="Probability from (%)"
            type="number"
            most={100}
            value={share === null ? null : String(Math.round(Number(share) * 1000) / 10)}
            set={(to) => choose("min_probability", to === "" ? "" : String(Number(to) / 100), TYPED)}
          />
          <Choice
            label="Order by"
            value={filter.get("sort") ?? "expected_loss"}
            set={(to) => choose("sort", to === "expected_loss" ? "" : to)}
            needed
          >
            {Object.entries(SORTS).map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </Choice>
        </form>
      </details>
    </search>
  );
}

const TYPED = { typed: true };
const TYPING_MS = 250;

type ChoiceProps = {
  label: string;
  value: string | null;
  set: (value: string) => void;
  needed?: boolean;
  children: ReactNode;
};

function Choice({ label, value, set, needed = false, children }: ChoiceProps) {
  const id = useId();
  return (
    <label htmlFor={id}>
      {label}
      <select id={id} value={value ?? ""} onChange={(event) => set(event.target.value)}>
        {!needed && <option value="">All</option>}
        {children}
      </select>
    </label>
  );
}

type TypedProps = {
  label: string;
  type: "search" | "number";
  value: string | null;
  set: (value: string) => void;
  most?: number;
};

function Typed({ label, type, value, set, most }: TypedProps) {
  const id = useId();
  const [text, setText] = useState(value ?? "");
  // Going back, or clearing, changes the address and not the field.
  useEffect(() => setText(value ?? ""), [value]);
  useEffect(() => {
    if (text === (value ?? "")) return;
    const settled = setTimeout(() => set(text), TYPING_MS);
    return () => clearTimeout(settled);
  }, [text, value, set]);
  return (
    <label htmlFor={id}>
      {label}
      <input
        id={id}
        type={type}
        value={text}
        onChange={(event) => event.target.validity.valid && setText(event.target.value)}
        {...(type === "number" ? { min: 0, max: most, step: "any", inputMode: "decimal" } : { maxLength: 100 })}
      />
    </label>
  );
}
