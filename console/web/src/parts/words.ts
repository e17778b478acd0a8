const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const DAY = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
const MOMENT = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

/** A probability or share as per cent, to two figures where it is small. */
export function percent(share: number): string {
  const told = 100 * share;
  return `${told >= 9.95 || told === 0 ? told.toFixed(0) : told.toPrecision(2)} %`;
}

export function amount(value: number, unit: string): string {
  return `${WHOLE.format(value)} ${unit}`.trim();
}

/** A day in UTC, as `20 Nov 2025`. */
export function day(moment: string): string {
  return DAY.format(new Date(moment));
}

/** A moment in UTC to the minute; of midnight the day. */
export function moment(value: string): string {
  const at = new Date(value);
  return at.getUTCHours() || at.getUTCMinutes() ? `${MOMENT.format(at)} UTC` : DAY.format(at);
}

/** A fact's value with its unit. */
export function told(value: string | number | boolean | null | undefined, unit: string, dtype: string): string {
  if (value === null || value === undefined) return "unknown";
  if (typeof value === "boolean") return value ? "yes" : "no";
  // Numbers without a unit may be years or numbers of something: they have no separators.
  const text =
    typeof value === "number" ? (unit ? NUMBER.format(value) : String(Math.round(value * 100) / 100)) : value;
  if (dtype === "date" || dtype === "datetime") return moment(String(value));
  return `${text} ${unit}`.trim();
}

/** Time until a moment in words: `23 h 59 min`. */
export function left(until: string, now: number): string {
  const minutes = Math.max(0, Math.ceil((new Date(until).getTime() - now) / 60_000));
  return minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
}
