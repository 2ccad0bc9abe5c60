import { expect, test } from "vitest";
import type { JobFilter } from "../api/calls.ts";
import type { JobRow } from "../api/types.gen.ts";
import { Frame } from "./frame.ts";
import type { Page } from "./list-parts.ts";
import { JobList } from "./list.ts";
import { RowStore } from "./rows.ts";
import { FakeServer, idOf, ManualFrames, rowOf } from "./tests-support.ts";

interface Asked {
  readonly filter: JobFilter;
  readonly cursor: string | null;
  readonly answer: (page: Page) => Promise<void>;
  readonly fail: (problem: Error) => Promise<void>;
}

function make(filter: JobFilter = {}, limit = 3, kept = 20_000) {
  const frames = new ManualFrames();
  const rows = new RowStore(new Frame(frames));
  const server = new FakeServer();
  const pages: Asked[] = [];
  const page = (asked: JobFilter, cursor: string | null): Promise<Page> =>
    new Promise((resolve, reject) => {
      const settled = async (): Promise<void> => {
        await Promise.resolve();
        await Promise.resolve();
      };
      const answer = (found: Page): Promise<void> => (resolve(found), settled());
      const fail = (problem: Error): Promise<void> => (reject(problem), settled());
      pages.push({ filter: asked, cursor, answer, fail });
    });
  const list = new JobList({ subscribe: server.subscribe, rows, frame: new Frame(frames), page }, filter, limit, kept);
  list.open();
  const shown = (): string[] => {
    frames.turn();
    return [...list.view.get().ids].map((id) => String(Number(id.slice(-12))));
  };
  const view = () => {
    frames.turn();
    return list.view.get();
  };
  return { server, list, rows, pages, shown, view };
}

const found = (numbers: readonly number[], next_cursor: string | null = null): Page => ({ jobs: numbers.map((n) => rowOf(n)), next_cursor });
const rowsOf = (...numbers: number[]): JobRow[] => numbers.map((n) => rowOf(n));

test("a snapshot smaller than its bound is all there is", () => {
  const { server, shown, view } = make();
  server.snapshot(rowsOf(2, 1));
  expect(shown()).toEqual(["2", "1"]);
  expect(view()).toMatchObject({ phase: "ready", complete: true });
});

test("new jobs come on top, and jobs that left go", () => {
  const { server, shown, rows } = make();
  server.snapshot(rowsOf(2, 1));
  server.changes(10, rowsOf(3), [idOf(1)]);
  expect(shown()).toEqual(["3", "2"]);
  expect(rows.size).toBe(2);
});

test("a change of a job below the last row is not shown before its page was read", async () => {
  const { server, shown, list, pages } = make();
  server.snapshot(rowsOf(9, 8, 7));
  server.changes(20, [rowOf(2, { seq: 20, state: "running" })]);
  expect(shown()).toEqual(["9", "8", "7"]);
  void list.more();
  await pages[0]?.answer(found([9, 8, 7, 2, 1]));
  expect(shown()).toEqual(["9", "8", "7", "2", "1"]);
});

test("a page that is older than a change of meanwhile does not undo it", async () => {
  const { server, shown, list, pages, rows } = make();
  server.snapshot(rowsOf(9, 8, 7));
  void list.more();
  server.changes(30, [rowOf(2, { seq: 30, state: "completed" })], [idOf(1)]);
  await pages[0]?.answer(found([9, 8, 7, 2, 1]));
  expect(shown()).toEqual(["9", "8", "7", "2"]);
  expect(rows.get(idOf(2))?.state).toBe("completed");
});

test("pages go on from their cursor, until there is none", async () => {
  const { server, list, pages, view } = make();
  server.snapshot(rowsOf(9, 8, 7));
  void list.more();
  await pages[0]?.answer(found([9, 8, 7, 6], "six"));
  expect(view().complete).toBe(false);
  void list.more();
  expect(pages[1]?.cursor).toBe("six");
  await pages[1]?.answer(found([5]));
  expect(view()).toMatchObject({ complete: true, loadingMore: false });
  void list.more();
  expect(pages).toHaveLength(2);
});

test("while somebody reads further down newer rows are held back and counted", () => {
  const { server, list, shown, view } = make();
  server.snapshot(rowsOf(2, 1));
  shown();
  list.hold();
  server.changes(10, rowsOf(3, 4));
  expect(shown()).toEqual(["2", "1"]);
  expect(view().fresh).toBe(2);
  list.release();
  expect(shown()).toEqual(["4", "3", "2", "1"]);
});

test("the rows of before stay until those of another filter come", () => {
  const { server, list, shown, view } = make();
  server.snapshot(rowsOf(2, 1));
  list.setFilter({ state: ["failed"] });
  expect(shown()).toEqual(["2", "1"]);
  expect(view().phase).toBe("loading");
  expect(server.asked[0]?.updates).toEqual([{ limit: 3, state: ["failed"] }]);
  server.snapshot(rowsOf(1));
  expect(shown()).toEqual(["1"]);
});

test("with a text all comes by pages, and what may be new is counted only", async () => {
  const { server, shown, pages, view, rows } = make({ q: "cat", kind: "resize" });
  expect(server.asked[0]?.wanted.filter).toEqual({ limit: 1, kind: "resize" });
  expect(pages[0]?.filter.q).toBe("cat");
  await pages[0]?.answer(found([4, 2]));
  server.changes(10, [rowOf(9), rowOf(2, { seq: 10, state: "running" })]);
  expect(shown()).toEqual(["4", "2"]);
  expect(rows.get(idOf(2))?.state).toBe("running");
  expect(view().fresh).toBe(1);
});

test("in the past nothing is subscribed to", async () => {
  const { server, pages, shown } = make({ at: 7 });
  expect(server.asked).toHaveLength(0);
  await pages[0]?.answer(found([2]));
  expect(shown()).toEqual(["2"]);
});

test("where another moment cannot be shown, the rows of the one before are not", async () => {
  const { list, pages, shown, view } = make({ at: 7 });
  await pages[0]?.answer(found([2, 1]));
  list.setFilter({ at: 3 });
  expect(shown()).toEqual(["2", "1"]);
  await pages[1]?.fail(new Error("trimmed"));
  expect(shown()).toEqual([]);
  expect(view().phase).toBe("failed");
});

test("when the list is cut to its newest, what was on its way for a page far away does not come", async () => {
  const { server, shown, view, list, pages } = make({}, 3, 4);
  server.snapshot(rowsOf(9999, 9998, 9997));
  const numbers = (page: number): number[] => Array.from({ length: 500 }, (_, at) => 9996 - page * 500 - at);
  for (let page = 0; page < 4; page++) {
    void list.more();
    await pages.at(-1)?.answer(found(numbers(page), `after ${page}`));
    list.look(view().ids.length - 10, view().ids.length);
  }
  list.look(700, 720);
  expect(pages.at(-1)?.cursor).toBe("after 0");
  // Meanwhile more came at the head than is kept there.
  for (let from = 10_000; from < 16_000; from += 500) server.changes(from, Array.from({ length: 500 }, (_, at) => rowOf(from + at)));
  await pages.at(-1)?.answer(found(numbers(1), "after 1"));
  const left = shown().map(Number);
  expect(left).toEqual(left.map((_, at) => 15_999 - at));
});

test("after a reset nothing of before is left, and a page that was under way is passed over", async () => {
  const { server, list, pages, shown, rows } = make();
  server.snapshot(rowsOf(9, 8, 7));
  void list.more();
  list.clear();
  await pages[0]?.answer(found([6, 5]));
  expect(shown()).toEqual([]);
  expect(rows.size).toBe(0);
  server.snapshot(rowsOf(1));
  expect(shown()).toEqual(["1"]);
});

test("what the server refuses is shown", () => {
  const { server, view } = make();
  server.say({ type: "error", id: "a", code: "invalid_filter", detail: "no such state" });
  expect(view().phase).toBe("failed");
});

test("pages far from where one looks are given away, keep their places, and are read again", async () => {
  const { server, shown, view, list, pages, rows } = make({}, 3, 4);
  server.snapshot(rowsOf(9999, 9998, 9997));
  const numbers = (page: number): number[] => Array.from({ length: 500 }, (_, at) => 9996 - page * 500 - at);
  for (let page = 0; page < 4; page++) {
    void list.more();
    await pages.at(-1)?.answer(found(numbers(page), `after ${page}`));
    const end = view().ids.length;
    list.look(end - 10, end);
  }
  // The newest and the last page stay, and the page beside it.
  expect(view().ids.length).toBe(2003);
  expect(rows.size).toBe(1503);
  expect(view().ids.at(700)).toBeUndefined();
  expect(view().ids.at(0)).toBe(idOf(9999));
  expect(view().ids.at(2002)).toBe(idOf(7997));
  expect(view().ids.indexOf(idOf(7997))).toBe(2002);

  list.look(700, 720);
  expect(pages.at(-1)?.cursor).toBe("after 0");
  // One of them left meanwhile, and one changed.
  server.changes(20_000, [rowOf(9300, { seq: 20_000, state: "running" })], [idOf(9301)]);
  await pages.at(-1)?.answer(found([...numbers(1), 8996], "after 1"));
  expect(view().ids.length).toBe(2002);
  expect(view().ids.at(700)).toBe(idOf(9298));
  expect(rows.get(idOf(9300))?.state).toBe("running");
  expect(shown().filter((id, at, all) => all.indexOf(id) !== at)).toEqual([]);
});

test("what is held back is bounded, and too much of it makes the list begin anew", () => {
  const { server, list, view, shown } = make();
  server.snapshot(rowsOf(3, 2, 1));
  list.hold();
  for (let n = 10; n < 2000; n += 10) server.changes(n + 10, Array.from({ length: 10 }, (_, at) => rowOf(n + at)));
  expect(view()).toMatchObject({ fresh: 1990 });
  expect(shown()).toEqual(["3", "2", "1"]);
  list.release();
  expect(view().phase).toBe("loading");
  server.snapshot(rowsOf(1999, 1998, 1997));
  expect(shown()).toEqual(["1999", "1998", "1997"]);
});

test("the newest are bounded while one looks at the top", () => {
  const { server, view, rows } = make();
  server.snapshot(rowsOf(3, 2, 1));
  for (let n = 10; n < 6000; n += 10) server.changes(n + 10, Array.from({ length: 10 }, (_, at) => rowOf(n + at)));
  expect(view().ids.length).toBeLessThan(5001);
  expect(view().complete).toBe(false);
  expect(rows.size).toBe(view().ids.length);
});
