import { expect, test } from "vitest";
import { Ids } from "../../store/index.ts";
import { Selection } from "./selection.ts";

const LIST = new Ids([["f", "e", "d"], 2, ["a"]]);
const chosen = (selection: Selection): string[] => [...selection.get().ids].sort();

test("a job is selected and let go", () => {
  const selection = new Selection();
  selection.toggle("e", LIST);
  expect(selection.has("e")).toBe(true);
  selection.toggle("e", LIST);
  expect(selection.has("e")).toBe(false);
});

test("a range goes from the one before, in either direction, over what is there", () => {
  const selection = new Selection();
  selection.toggle("a", LIST);
  selection.range("e", LIST);
  expect(chosen(selection)).toEqual(["a", "d", "e"]);
  selection.range("f", LIST);
  expect(chosen(selection)).toEqual(["a", "d", "e", "f"]);
});

test("all that match are all, and one taken out leaves those that are loaded", () => {
  const selection = new Selection();
  selection.everything();
  expect(selection.has("whatever")).toBe(true);
  selection.toggle("e", LIST);
  expect(chosen(selection)).toEqual(["a", "d", "f"]);
  expect(selection.get().all).toBe(false);
});

test("it is forgotten as a whole", () => {
  const selection = new Selection();
  selection.loaded(LIST);
  expect(chosen(selection)).toEqual(["a", "d", "e", "f"]);
  selection.clear();
  expect(chosen(selection)).toEqual([]);
});
