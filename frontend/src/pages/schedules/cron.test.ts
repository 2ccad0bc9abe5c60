import { expect, test } from "vitest";
import { cronWords } from "./cron.ts";

test.each([
  ["* * * * *", "every minute"],
  ["*/15 * * * *", "every 15 minutes"],
  ["0 * * * *", "every hour"],
  ["5 * * * *", "every hour, 5 min past"],
  ["0 */6 * * *", "every 6 hours"],
  ["30 2 * * *", "every day at 02:30"],
  ["30 2 * * MON-FRI", "Monday to Friday at 02:30"],
  ["0 9 * * 6,7", "Saturday and Sunday at 09:00"],
  ["0 9 * * mon,wed,fri", "Monday, Wednesday and Friday at 09:00"],
  ["0 0 1 * *", "on day 1 of each month at 00:00"],
  ["0 0 L * *", "on the last day of each month at 00:00"],
  [" @daily ", "every day at 00:00"],
])("%s is %s", (cron, words) => {
  expect(cronWords(cron)).toBe(words);
});

test.each(["", "x", "* * * *", "*/7 * * * *", "0 */5 * * *", "0 0 1 * MON", "0 0 * JAN *", "0 0 * * 5#2", "61 * * * *", "0 0 0 * *", "*/0 * * * *", "0 9 * * 9", "0 0 * * MON-WED-FRI"])(
  "what is not simple is left as it is: %s",
  (cron) => {
    expect(cronWords(cron)).toBeNull();
  },
);
