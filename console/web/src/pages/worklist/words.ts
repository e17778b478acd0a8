import { moment } from "../../parts/words";
import type { Trail } from "../claim/claim";
import type { Alert } from "./alerts";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHARE = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });

export const whole = (value: number | null) => (value === null ? "–" : WHOLE.format(value));
export const share = (value: number) => SHARE.format(value);
export const day = (value: string | null) => (value === null ? "–" : DAY.format(new Date(value)));

/** A column's name as a heading. */
export const inWords = (name: string) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");

export type Standing = { word: string; sort: "mine" | "others" | "set" | "free" };

/** Who works a case, or why nobody should now. */
export function standing(alert: Alert, login: string, names: Record<string, string>): Standing {
  const named = (who: string) => names[who] ?? who;
  if (alert.held_by !== null && alert.held_until !== null) {
    const until = `until ${TIME.format(new Date(alert.held_until))} UTC`;
    if (alert.held_by === login) return { word: `You hold it ${until}`, sort: "mine" };
    return { word: `${named(alert.held_by)} holds it ${until}`, sort: "others" };
  }
  if (alert.escalated) return { word: "Escalated", sort: "set" };
  if (alert.snoozed_until !== null) return { word: `Snoozed until ${moment(alert.snoozed_until)}`, sort: "set" };
  if (alert.assigned_to === login) return { word: "Assigned to you", sort: "mine" };
  if (alert.assigned_to !== null) return { word: `Assigned to ${named(alert.assigned_to)}`, sort: "set" };
  return { word: "Free", sort: "free" };
}

/** Why an alert stands here, without what goes without saying. */
export const why = (reason: string | null) => reason?.replace(", which raises the fraud probability.", "") ?? "";

/** What a claim is opened for that somebody comes upon here, by whom, and from which list. */
export const caseWork = (list: string, by: string): { state: Trail } => ({ state: { purpose: "Case work", by, list } });
