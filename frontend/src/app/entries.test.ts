import { createMemoryHistory } from "@tanstack/react-router";
import { expect, test } from "vitest";
import { Entries } from "./entries.ts";

function opened() {
  const history = createMemoryHistory({ initialEntries: ["/jobs"] });
  const log = { now: 0 };
  return { history, log, entries: new Entries(history, () => log.now) };
}

test("what was opened before a reset is old, also when one goes back to it, and what is opened after is not", () => {
  const { history, log, entries } = opened();
  history.push("/jobs/a");
  history.push("/queues");
  log.now = 1;
  expect(entries.isOld(history.location)).toBe(true);
  history.back();
  expect(history.location.pathname).toBe("/jobs/a");
  expect(entries.isOld(history.location)).toBe(true);
  history.push("/jobs/b");
  expect(entries.isOld(history.location)).toBe(false);
  history.back();
  expect(entries.isOld(history.location)).toBe(true);
  history.forward();
  expect(entries.isOld(history.location)).toBe(false);
});

test("the same page at another address is as old as it was, and another page in its place is new", () => {
  const { history, log, entries } = opened();
  history.push("/jobs/a?at=5");
  log.now = 1;
  history.replace("/jobs/a");
  expect(entries.openedIn(history.location)).toBe(0);
  history.replace("/jobs/b");
  expect(entries.openedIn(history.location)).toBe(1);
});

test("a page of before this one was loaded counts as opened now", () => {
  const { entries, log } = opened();
  log.now = 2;
  expect(entries.openedIn({ state: { __TSR_key: "of another life" } as never })).toBe(2);
});
