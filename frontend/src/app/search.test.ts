import { expect, test } from "vitest";
import { parseSearch, readAt, readHistory, readJob, readJobs, stringifySearch } from "./search.ts";

test("filters go into the address and come out of it as they were", () => {
  const search = { state: ["failed", "running"] as const, kind: "img.resize", q: "a b&c", at: 42 };
  const text = stringifySearch(search);
  expect(text).toBe("?state=failed&state=running&kind=img.resize&q=a+b%26c&at=42");
  expect(readJobs(parseSearch(text))).toEqual(search);
});

test("what is not set is not in the address", () => {
  expect(stringifySearch({ state: undefined, q: "", kind: undefined })).toBe("");
  expect(readJobs({})).toEqual({});
});

test("what cannot be understood is passed over", () => {
  expect(readJobs({ state: ["nonsense", "failed", "failed"], at: "-3", q: "  ", kind: "1", other: "x" })).toEqual({
    state: ["failed"],
    kind: "1",
  });
  expect(readJobs({ at: "1.5" })).toEqual({});
});

test("what is passed over hides the raw word, as the router lays one over the other", () => {
  const seen = (search: string, reader: (raw: Record<string, string | string[]>) => object) => {
    const raw = parseSearch(search);
    return stringifySearch({ ...raw, ...reader(raw) });
  };
  for (const at of ["abc", "-1", "0", "1.5", "1e99", ""]) expect(seen(`?at=${at}&to=9`, readAt), at).toBe("");
  expect(seen("?at=5&to=abc", readAt)).toBe("?at=5");
  expect(seen("?state=bogus&q=x", readJobs)).toBe("?q=x");
  expect(seen("?span=9y", readHistory)).toBe("");
  expect(seen("?tab=none&items=all", readJob)).toBe("");
  expect(Object.keys(readAt({}))).toEqual([]);
});

test("a text of digits stays a text", () => {
  expect(readJobs(parseSearch("?q=123&kind=7"))).toEqual({ q: "123", kind: "7" });
});

test("a span of the history that there is, or the one that is usual", () => {
  expect(readHistory(parseSearch("?span=24h&view=tables&at=7"))).toEqual({ span: "24h", view: "tables", at: 7 });
  expect(readHistory(parseSearch("?span=2y&view=cake"))).toEqual({});
});
