import { expect, test } from "vitest";
import { rateWords } from "./now.tsx";

test("a rate is told in the unit in which it is read", () => {
  expect([0, 0.0005, 0.02, 0.5, 1, 3.25, 250, 12_345].map(rateWords)).toEqual(["0", "1.8 /h", "1.2 /min", "30.0 /min", "1.0 /s", "3.3 /s", "250 /s", "12.3k /s"]);
});
