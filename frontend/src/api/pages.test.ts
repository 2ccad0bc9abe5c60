import { expect, test } from "vitest";
import { allRows } from "./pages.ts";

const server = (pages: number) => {
  const asked: (string | null)[] = [];
  const read = ({ cursor }: { cursor: string | null }) => {
    asked.push(cursor);
    const at = Number(cursor ?? 0);
    return Promise.resolve({ rows: [at], next_cursor: at + 1 < pages ? String(at + 1) : null });
  };
  return { asked, read };
};

test("all pages are one list", async () => {
  const { asked, read } = server(3);
  expect(await allRows(read, ({ rows }) => rows)).toEqual([0, 1, 2]);
  expect(asked).toEqual([null, "1", "2"]);
});

test("a list without end is cut", async () => {
  const { asked, read } = server(Infinity);
  expect((await allRows(read, ({ rows }) => rows)).length).toBe(20);
  expect(asked.length).toBe(20);
});
