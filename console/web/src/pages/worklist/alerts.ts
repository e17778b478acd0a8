import { keepPreviousData, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { ask } from "../../api";
import { useChange } from "../../change";

export type Alert = {
  week: string | null;
  rank: number;
  claim_id: string;
  kind: string | null;
  probability: number;
  amount: number | null;
  expected_loss: number | null;
  flagged: boolean;
  audited: boolean;
  reason: string | null;
  assigned_to: string | null;
  snoozed_until: string | null;
  escalated: boolean;
  held_by: string | null;
  held_until: string | null;
};

type Count = { value: string; count: number };

export type Part = {
  reading: number;
  total: number;
  amount: number;
  expected_loss: number;
  unit: string;
  kind: string | null;
  facets: { week: Count[]; kind: Count[]; sample: Count[]; state: Count[] };
  names: Record<string, string>;
  rows: Alert[];
};

const ROWS = 100;
const AHEAD = 40;
const LOOK_AGAIN_MS = 4_000;
const SETTLE_MS = 60;

/**
 * The alerts under a filter: the first part, with sums and counts, and whichever parts are in sight; looked at again every
 * few seconds, since others work on them.
 */
export function useAlerts(filter: URLSearchParams) {
  const key = filter.toString();
  const reading = useRef({ key, number: 0 });
  if (reading.current.key !== key) reading.current = { key, number: 0 };
  const fetchPart = async (part: number, signal: AbortSignal) => {
    const asked = new URLSearchParams(filter);
    asked.set("offset", String(part * ROWS));
    asked.set("limit", String(ROWS));
    // One entry in the access log for all that is looked at under one filter.
    if (reading.current.number > 0) asked.set("reading", String(reading.current.number));
    const answer = await ask<Part>(`/api/worklist?${asked}`, { signal });
    if (reading.current.key === key) reading.current.number = answer.reading;
    return answer;
  };
  const options = (part: number) => ({
    queryKey: ["worklist", key, part],
    queryFn: ({ signal }: { signal: AbortSignal }) => fetchPart(part, signal),
    refetchInterval: LOOK_AGAIN_MS,
    staleTime: 1_000,
    gcTime: 60_000,
  });
  const head = useQuery({ ...options(0), placeholderData: keepPreviousData });
  const [sight, setSight] = useState({ first: 0, last: 0 });
  const parts = partsOf(sight.first, sight.last).filter((part) => part > 0);
  const known = head.data !== undefined && !head.isPlaceholderData;
  const others = useQueries({ queries: known ? parts.map(options) : [] });
  const rows = new Map(known ? parts.map((part, place) => [part, others[place]?.data?.rows]) : []);
  const alertAt = (index: number): Alert | undefined => {
    const part = Math.floor(index / ROWS);
    return (part === 0 ? head.data?.rows : rows.get(part))?.[index % ROWS];
  };
  return { head, alertAt, setSight };
}

function partsOf(first: number, last: number): number[] {
  const from = Math.max(0, Math.floor((first - AHEAD) / ROWS));
  const to = Math.floor((last + AHEAD) / ROWS);
  return Array.from({ length: to - from + 1 }, (_, step) => from + step);
}

/** Tell which alerts are in sight once scrolling rests for a moment: not each that flies by is fetched. */
export function useSight(setSight: (sight: { first: number; last: number }) => void, first: number, last: number) {
  useEffect(() => {
    const settled = setTimeout(() => setSight({ first, last }), SETTLE_MS);
    return () => clearTimeout(settled);
  }, [setSight, first, last]);
}

/** Do something with a case; the list is asked for anew then. */
export function useCase() {
  const queries = useQueryClient();
  return useChange({
    mutationFn: ({ claim, step, body }: { claim: string; step: string; body?: unknown }) =>
      ask<unknown>(`/api/cases/${encodeURIComponent(claim)}/${step}`, { method: "POST", body }),
    onSettled: () => queries.invalidateQueries({ queryKey: ["worklist"] }),
  });
}
