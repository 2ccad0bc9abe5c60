import { expect, test } from "vitest";
import { parseSearch, readHistory, readJobs, stringifySearch } from "./search.ts";

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

test("a text of digits stays a text", () => {
  expect(readJobs(parseSearch("?q=123&kind=7"))).toEqual({ q: "123", kind: "7" });
});

test("a span of the history that there is, or the one that is usual", () => {
  expect(readHistory(parseSearch("?span=24h&view=tables&at=7"))).toEqual({ span: "24h", view: "tables", at: 7 });
  expect(readHistory(parseSearch("?span=2y&view=cake"))).toEqual({});
});
