import type { Estimate } from "../../parts/charts/words";

/** What the API tells of models; see console/api/routes/model.py. */
export type Gate = { name: string; value: number | null; asks: string; limit: number | null; passed: boolean };

export type Entry = {
  entry_id: number;
  model_version: number;
  family: string;
  alias: "champion" | "refused";
  action: "judged" | "override" | "rollback";
  actor: string;
  reason: string;
  as_of: string;
  live_until: string | null;
  average_precision: Estimate | null;
  failed: Gate[];
  card: boolean;
};

export type Contender = {
  model_version: number;
  family: string;
  refused_at: string;
  failed: Gate[];
  harmless: boolean;
  against_champion: Estimate | null;
};

export type Overview = {
  as_of: string;
  labelled: boolean;
  live: Entry | null;
  before: number[];
  contender: Contender | null;
  waiting: { model_version: number; family: string; as_of: string }[];
  history: Entry[];
  stop: { reason: string; as_of: string; model_version: number } | null;
};

export type Tenth = {
  place: number;
  claims: number;
  frauds: number;
  expected: number;
  expected_rate: number;
  rate: number;
  low: number;
  high: number;
  lift: number | null;
  lift_low: number | null;
  lift_high: number | null;
  cumulative_recall: number | null;
};

export type Rate = { claims: number; expected: number; actual: number; low: number; high: number };
export type Point = { claims: number; recall: number; precision: number; false_positive_rate: number };

export type Group = {
  name: string;
  claims: number;
  frauds: number;
  flagged_share: number | null;
  recall: number | null;
  flagged: [number, number] | null;
  found: [number, number] | null;
};

export type Fairness = {
  column: string;
  by: string;
  groups: Group[];
  demographic_parity: Estimate | null;
  equal_opportunity: Estimate | null;
  few_claims: string[];
  few_frauds: string[];
};

export type Capacity = {
  claims: number;
  flagged: number;
  frauds: number;
  recall: Estimate;
  precision: Estimate;
  lift: Estimate;
  caught: Estimate | null;
  cost: Estimate | null;
  net: Estimate | null;
  amounts_unknown: number;
};

export type Slice = {
  words: string;
  claims: number;
  frauds: number;
  expected: number;
  missed: number;
  false_alarms: number;
  error: Estimate;
};

export type Judged = {
  model_version: number;
  family: string;
  trained_as_of: string;
  train_start: string;
  train_end: string;
  claims: number | null;
  alias: "champion" | "refused" | null;
  reason: string | null;
  threshold: number | null;
  judged_start: string | null;
  judged_end: string | null;
  judged_as_of: string | null;
  caveat: string | null;
  split: string | null;
  gates: Gate[] | null;
  ranking: Record<string, Estimate> | null;
  capacity: Capacity | null;
  calibration: { relative: Estimate; deciles: Rate[] } | null;
  curve: Point[] | null;
  tenths: Tenth[];
  fairness: Fairness[];
  slices: Slice[];
  importance: { feature: string; share: number }[];
  against_champion: Estimate | null;
  unit: string;
  sensitive: string[];
  review: { cost: number; capacity_per_week: number };
  card: boolean;
};

export type Grid = {
  windows: string[];
  verdicts: (string | null)[];
  features: { feature: string; importance: number | null; cells: (number | null)[]; newest: number }[];
};

export type Drift = {
  version: number | null;
  champion: number | null;
  shifts: Grid;
  associations: Grid;
  verdicts: { window_start: string; window_end: string; verdict: string; reasons: string[] }[];
  late: {
    metrics: Record<string, string>;
    windows: ({ window: string } & Record<string, (Estimate & { verdict: string }) | string>)[];
  };
};
