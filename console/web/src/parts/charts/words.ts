/** Stands for a number that is not known. */
export const UNTOLD = "–";

/** A whole number: 12,345. */
export function count(number: number | null | undefined): string {
  return number === null || number === undefined ? UNTOLD : Math.round(number).toLocaleString("en-US");
}

/** A number to some significant figures, a whole one in full: 3.42, 1,230. */
export function figure(number: number | null | undefined, digits = 3): string {
  if (number === null || number === undefined) return UNTOLD;
  if (Number.isInteger(number)) return number.toLocaleString("en-US");
  const rounded = Number(number.toPrecision(digits));
  return Math.abs(rounded) >= 100 ? count(rounded) : rounded.toPrecision(digits);
}

/** A share as a percentage, to two significant figures or whole; the space does not break. */
export function share(number: number | null | undefined): string {
  if (number === null || number === undefined) return UNTOLD;
  const percent = 100 * number;
  const told = percent === 0 || Math.abs(percent) >= 9.95 ? percent.toFixed(0) : String(Number(percent.toPrecision(2)));
  return `${told}\u202f%`;
}

/** The day of a moment in UTC, as ISO 8601. */
export function day(moment: string | null | undefined): string {
  return moment ? moment.slice(0, 10) : UNTOLD;
}

/** A moment in UTC to the minute. */
export function minute(moment: string | null | undefined): string {
  return moment ? `${moment.slice(0, 10)} ${moment.slice(11, 16)}` : UNTOLD;
}

/** A name of the code for people: without underscores. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}

/** A length of time in the unit that tells it best. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return UNTOLD;
  const units: [number, number, string][] = [
    [120, 1, "s"],
    [7_200, 60, "min"],
    [172_800, 3_600, "h"],
    [Number.POSITIVE_INFINITY, 86_400, "days"],
  ];
  const [, unit, name] = units.find(([most]) => seconds < most) ?? [0, 1, "s"];
  return `${figure(seconds / unit, 2)}\u202f${name}`;
}

/** An amount of money in USD, to a hundredth of a cent where it is small. */
export function usd(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return UNTOLD;
  return amount >= 1
    ? amount.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
    : amount.toFixed(4);
}

export type Estimate = { value: number | null; low: number | null; high: number | null };
export type Words = (number: number | null | undefined) => string;

/** The 95 % interval of an estimate. */
export function interval(estimate: Estimate | null | undefined, write: Words): string {
  return estimate?.low == null || estimate.high == null
    ? "no interval: too few frauds"
    : `95 %: ${write(estimate.low)} to ${write(estimate.high)}`;
}
