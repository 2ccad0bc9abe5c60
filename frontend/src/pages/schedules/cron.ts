// Cron expressions in words, as far as they are simple. Pure. What it does not understand it leaves to the expression
// itself: wrong words would be worse than none.

const NAMED: Readonly<Record<string, string>> = {
  "@hourly": "every hour",
  "@daily": "every day at 00:00",
  "@weekly": "every Sunday at 00:00",
  "@monthly": "on day 1 of each month at 00:00",
  "@yearly": "every year on 1 January at 00:00",
};
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SHORT = DAYS.map((day) => day.slice(0, 3).toUpperCase());

/** A plain number within bounds. */
function numberOf(text: string, most: number): number | null {
  if (!/^\d{1,2}$/.test(text)) return null;
  const value = Number(text);
  return value <= most ? value : null;
}

function dayOf(text: string): string | null {
  const named = SHORT.indexOf(text.toUpperCase());
  const value = named >= 0 ? named : numberOf(text, 7);
  return value === null ? null : (DAYS[value % 7] ?? null);
}

/** "Monday to Friday", "Saturday and Sunday". */
function daysOf(text: string): string | null {
  const parts = text.split(",").map((part) => {
    const ends = part.split("-").map(dayOf);
    if (ends.includes(null) || ends.length > 2) return null;
    return ends.join(" to ");
  });
  if (parts.includes(null)) return null;
  return parts.length === 1 ? (parts[0] ?? null) : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

const two = (value: number): string => String(value).padStart(2, "0");

function stepOf(text: string, most: number): number | null {
  const step = text.startsWith("*/") ? numberOf(text.slice(2), most) : null;
  return step === null || step === 0 ? null : step;
}

/** What an hour and a minute say when every day counts. */
function withinDay(minute: string, hour: string): string | null {
  const every = stepOf(minute, 59);
  if (hour === "*" && minute === "*") return "every minute";
  // Only what divides the hour comes at even distances.
  if (hour === "*" && every !== null) return every === 1 ? "every minute" : 60 % every === 0 ? `every ${every} minutes` : null;
  const at = numberOf(minute, 59);
  if (at === null) return null;
  if (hour === "*") return at === 0 ? "every hour" : `every hour, ${at} min past`;
  const hours = stepOf(hour, 23);
  if (hours !== null && 24 % hours === 0) return `every ${hours === 1 ? "hour" : `${hours} hours`}${at === 0 ? "" : `, ${at} min past`}`;
  return null;
}

export function cronWords(cron: string): string | null {
  const named = NAMED[cron.trim().toLowerCase()];
  if (named !== undefined) return named;
  const [minute = "", hour = "", day = "", month = "", weekday = "", ...more] = cron.trim().split(/\s+/);
  if (weekday === "" || more.length > 0 || month !== "*") return null;
  if (day === "*" && weekday === "*") {
    const often = withinDay(minute, hour);
    if (often !== null) return often;
  }
  const [h, m] = [numberOf(hour, 23), numberOf(minute, 59)];
  if (h === null || m === null) return null;
  const time = `at ${two(h)}:${two(m)}`;
  if (day === "*" && weekday === "*") return `every day ${time}`;
  if (day === "*") {
    const days = daysOf(weekday);
    return days === null ? null : `${days} ${time}`;
  }
  if (weekday !== "*") return null;
  if (day.toUpperCase() === "L") return `on the last day of each month ${time}`;
  const date = numberOf(day, 31);
  return date === null || date === 0 ? null : `on day ${date} of each month ${time}`;
}
