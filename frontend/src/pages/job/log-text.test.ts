import { expect, test } from "vitest";
import { withoutEscapes } from "./log-text.ts";

test("what is meant for a terminal is not shown, and nothing else is lost", () => {
  expect(withoutEscapes("\u001b[1;31mred\u001b[0m [31m plain")).toBe("red [31m plain");
  expect(withoutEscapes("\u001b]0;title\u0007done\u001b[2K\u001b[1A")).toBe("done");
  expect(withoutEscapes("\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\")).toBe("link");
  expect(withoutEscapes("<b>no escape</b> 🎉")).toBe("<b>no escape</b> 🎉");
});
