// Numbers, sizes, spans and times in words. Pure.

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
] as const;

/** 3.2 s, 4 min 10 s, 2 h 5 min, 3 d 4 h. */
export function span(seconds: number): string {
  const whole = Math.max(0, seconds);
  if (whole < 10) return `${whole < 0.05 ? "0" : whole.toFixed(1)} s`;
  const first = UNITS.findIndex(([, size]) => Math.round(whole) >= size);
  const [unit, size] = UNITS[first] ?? ["s", 1];
  const next = UNITS[first + 1];
  const rounded = Math.round(whole / (next?.[1] ?? 1)) * (next?.[1] ?? 1);
  const rest = next === undefined ? 0 : Math.round((rounded % size) / next[1]);
  const head = `${Math.floor(rounded / size)} ${unit}`;
  return next === undefined || rest === 0 ? head : `${head} ${rest} ${next[0]}`;
}

/** "now", "12 s", "3 min", "2 h", "5 d": short, of one unit. */
export function ago(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const away = Math.abs(seconds);
  if (away < 2) return "now";
  const [unit, size] = UNITS.find(([, one]) => away >= one) ?? ["s", 1];
  const words = `${Math.floor(away / size)} ${unit}`;
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

/** 1234 stays, 12.3k, 4.5M: for tabs and tiles. The exact number belongs into a title. */
export function short(count: number): string {
  if (count < 10_000) return String(count);
  if (count < 999_500) return `${(count / 1000).toFixed(count < 99_950 ? 1 : 0)}k`;
  return `${(count / 1_000_000).toFixed(1)}M`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 999_500) return `${(bytes / 1000).toFixed(bytes < 99_950 ? 1 : 0)} kB`;
  if (bytes < 999_500_000) return `${(bytes / 1_000_000).toFixed(1)} MB`;
  return `${(bytes / 1_000_000_000).toFixed(1)} GB`;
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const YEAR = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });

/** Local: the time alone today, with the day before that, with the year in another. */
export function clock(at: Date, now: Date): string {
  if (at.toDateString() === now.toDateString()) return TIME.format(at);
  return `${(at.getFullYear() === now.getFullYear() ? DAY : YEAR).format(at)}, ${TIME.format(at)}`;
}

const TURNING = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff]/;

/** Somebody's word within a sentence of ours: what turns the direction of writing in it turns that word alone. */
export function isolated(word: string): string {
  return TURNING.test(word) ? `\u2068${word.replaceAll(/[\u2066-\u2069]/g, "")}\u2069` : word;
}

/** A sentence with words of others in it, without the signs that would turn the rest of it around. */
export function unturned(sentence: string): string {
  return sentence.replaceAll(/[\u202a-\u202e\u2066-\u2069]/g, "");
}
