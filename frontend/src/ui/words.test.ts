import { expect, test } from "vitest";
import { ago, isolated, short, size, span, unturned } from "./words.ts";

test("spans are told in one or two units", () => {
  expect([0, 0.2, 3.25, 42, 60, 250, 3600, 7500, 90_000].map(span)).toEqual(["0 s", "0.2 s", "3.3 s", "42 s", "1 min", "4 min 10 s", "1 h", "2 h 5 min", "1 d 1 h"]);
});

test("a span never has sixty of a unit", () => {
  expect([59.6, 119.7, 3599.9, 86_399.9].map(span)).toEqual(["1 min", "2 min", "1 h", "1 d"]);
});

test("how long ago, and how soon", () => {
  const now = 1_000_000_000;
  expect([0, 12_000, 200_000, 7_300_000, 500_000_000].map((past) => ago(now - past, now))).toEqual(["now", "12 s ago", "3 min ago", "2 h ago", "5 d ago"]);
  expect(ago(now + 90_000, now)).toBe("in 1 min");
});

test("big numbers and sizes are short", () => {
  expect([0, 9999, 10_000, 123_456, 1_000_000].map(short)).toEqual(["0", "9999", "10.0k", "123k", "1.0M"]);
  expect([12, 1500, 123_456, 5_000_000].map(size)).toEqual(["12 B", "1.5 kB", "123 kB", "5.0 MB"]);
});

test("words that turn the direction of writing turn nothing but themselves", () => {
  expect(isolated("crane-1")).toBe("crane-1");
  expect(isolated("a\u202eb\u2069")).toBe("\u2068a\u202eb\u2069");
  expect(isolated("עגורן")).toBe("\u2068עגורן\u2069");
  expect(unturned("by \u202eenarc, now")).toBe("by enarc, now");
});
