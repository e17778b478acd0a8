import { useQuery } from "@tanstack/react-query";
import { ask } from "../../api";

export type Fact = { name: string; title: string; meaning: string; unit: string; dtype: string; value: Value };
export type Value = string | number | boolean | null;
export type Change = Fact & { before?: Value };
export type Reason = {
  text: string;
  direction: "raises" | "lowers";
  log_odds: number | null;
  unusual: number | null;
  peers: string | null;
};
export type Prediction = {
  probability: number;
  flagged: boolean;
  audited: boolean;
  model_version: number;
  scored_as_of: string;
  stake: number | null;
  expected_loss: number | null;
  reasons: Reason[];
};
export type Verdict = "fraud" | "not_fraud" | "more_information";
export type Decision = {
  decision_id: number;
  by: string;
  decision: Verdict;
  note: string | null;
  at: string;
  undone_at: string | null;
};
export type Step = {
  at: string;
  by: string;
  action: "assigned" | "snoozed" | "escalated";
  to: string | null;
  until: string | null;
  note: string | null;
};
export type Photo = {
  name: string;
  width: number;
  height: number;
  known_at: string;
  also: { claim_id: string; event_time: string }[];
};
export type Claim = {
  claim_id: string;
  event_time: string;
  withdrawn_at: string | null;
  facts: Fact[];
  amount_unit: string;
  prediction: Prediction | null;
  week: { begins: string; claims: number; rank: number; counts: number[] } | null;
  versions: { revision: number; known_at: string; event_time: string; moved: boolean; changes: Change[] }[];
  predictions: {
    model_version: number;
    decides: boolean;
    probability: number;
    flagged: boolean;
    audited: boolean;
    scored_as_of: string;
  }[];
  outcome: boolean | null;
  outcomes: { is_fraud: boolean | null; decided_at: string; known_at: string; source: string; by: string | null }[];
  decisions: Decision[];
  undo_until: string | null;
  holder: { name: string; until: string; mine: boolean } | null;
  case: { assigned_to: string | null; snoozed_until: string | null; escalated: boolean; steps: Step[] };
  may_decide: boolean;
  photos: Photo[];
};
export type Related = {
  entities: { name: string; title: string; value: string | null; shared: boolean }[];
  claims: {
    claim_id: string;
    event_time: string;
    shares: string[];
    probability: number | null;
    outcome: boolean | null;
  }[];
};

export const VERDICTS: Record<Verdict, string> = {
  fraud: "Fraud",
  not_fraud: "Not fraud",
  more_information: "More information needed",
};

/** What somebody wants to see claims for, and from which list they come: it goes with the links from one to another. */
export type Trail = { purpose: string; by: string; list: string };

const MINUTE = 60_000;

export function claimPath(claimId: string, what = ""): string {
  return `/api/claims/${encodeURIComponent(claimId)}${what}`;
}

/** Opens a claim for a purpose; while the page is open a new ticket takes the place of one that soon runs out. */
export function useTicket(claimId: string, purpose: string | null) {
  return useQuery({
    queryKey: ["ticket", claimId, purpose],
    queryFn: async () => {
      const opened = await ask<{ ticket: number }>(claimPath(claimId, "/open"), { method: "POST", body: { purpose } });
      return opened.ticket;
    },
    enabled: purpose !== null,
    staleTime: 50 * MINUTE,
    refetchInterval: 50 * MINUTE,
    refetchOnWindowFocus: false,
    retry: false,
  });
}

// Each reading is entered in the access log: none is made but for a reason. Nor is one kept for who comes back later, when
// the case may be another's.
const ONCE = { staleTime: Number.POSITIVE_INFINITY, gcTime: 0, refetchOnWindowFocus: false, refetchOnReconnect: false };

export function useClaim(claimId: string, ticket: number | undefined) {
  return useQuery({
    queryKey: ["claim", claimId],
    queryFn: ({ signal }) => ask<Claim>(claimPath(claimId, `?ticket=${ticket}`), { signal }),
    enabled: ticket !== undefined,
    ...ONCE,
  });
}

export function useRelated(claimId: string, ticket: number) {
  return useQuery({
    queryKey: ["related", claimId],
    queryFn: ({ signal }) => ask<Related>(claimPath(claimId, `/related?ticket=${ticket}`), { signal }),
    ...ONCE,
  });
}
