import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";

export const STATES = {
  open: "Free to take",
  mine: "I hold",
  others: "Others hold",
  assigned: "Assigned to me",
  escalated: "Escalated",
  snoozed: "Snoozed",
} as const;
export const SAMPLES = { flagged: "Flagged by the model", audited: "Audit sample" } as const;
export const SORTS = {
  expected_loss: "Expected loss",
  probability: "Probability",
  amount: "Amount",
  week: "Week, then rank in it",
} as const;

/** Parts of the filter as the address and the API have them; the order is one of them. */
export const PARTS = ["search", "state", "week", "kind", "sample", "min_amount", "min_probability", "sort"] as const;
export type Part = (typeof PARTS)[number];

/** The filter that stands in the address; a choice that is made can be undone by going back. */
export function useFilter() {
  const [address, setAddress] = useSearchParams();
  const filter = useMemo(() => {
    const kept = new URLSearchParams();
    for (const part of PARTS) {
      const value = address.get(part);
      if (value) kept.set(part, value);
    }
    return kept;
  }, [address]);
  const choose = useCallback(
    (part: Part, value: string, { typed = false } = {}) =>
      setAddress(
        (before) => {
          const after = new URLSearchParams(before);
          if (value) after.set(part, value);
          else after.delete(part);
          return after;
        },
        // Each letter in the history would be a step back of its own.
        { replace: typed, preventScrollReset: true },
      ),
    [setAddress],
  );
  const clear = useCallback(() => setAddress({}, { preventScrollReset: true }), [setAddress]);
  return { filter, choose, clear };
}
