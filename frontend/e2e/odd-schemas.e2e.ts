// Schemas that few write and somebody has: the form of each can be filled in, and what is sent is what was meant.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import type { JobBody } from "../src/api/types.gen.ts";
import { picture, stage, violations } from "./support/stage.ts";
import { call, submit } from "./support/worker.ts";

const object = (properties: object, rest: object = {}) => ({ $schema: "https://json-schema.org/draft/2020-12/schema", type: "object", properties, ...rest });
const maybe = (type: string) => ({ anyOf: [{ type }, { type: "null" }] });
const NAMES = ["a", "b", "c", "d", "e", "f", "g"];
const NODE = object({ v: { type: "integer", default: 1 }, ...Object.fromEntries(NAMES.map((name) => [name, { $ref: "#/$defs/node" }])) });

const SCHEMAS: Readonly<Record<string, object>> = {
  lists: object({ sizes: { title: "Size", type: "array", items: { type: "integer" } }, modes: { title: "Mode", type: "array", items: { enum: ["x", 1, "1"] } } }),
  nulls: object({ loud: { title: "Loud", ...maybe("boolean") }, style: { title: "Style", enum: ["bold", null] }, note: { title: "Note", ...maybe("string") } }, { required: ["loud", "style", "note"] }),
  names: object({ constructor: { title: "Maker", type: "string" }, toString: { title: "Words", type: "string" }, "a/b": { title: "Odd", type: "integer", maximum: 3 } }),
  tree: object({ root: { title: "Root", $ref: "#/$defs/node" } }, { $defs: { node: NODE } }),
  ghost: object({ flag: { title: "Flag", type: "boolean", const: true } }, { required: ["flag", "ghost"] }),
  seeds: object({ seed: { title: "Seed", type: "integer", minimum: 0, maximum: 2 ** 64 }, list: { title: "List", type: "array", items: { type: "integer" } } }),
  rows: object({ rows: { title: "Rows", type: "array", items: { type: "object" } }, name: { title: "Name", type: "string" } }),
};
const kinds = Object.keys(SCHEMAS);
const play = stage({
  config: kinds.map((kind) => `[kinds.${kind}]\nschema = "${kind}.json"\n`).join(""),
  files: Object.fromEntries(kinds.map((kind) => [`${kind}.json`, JSON.stringify(SCHEMAS[kind])])),
});

async function form(kind: string): Promise<Page> {
  const page = await play.tab();
  await page.goto(`/submit?kind=${kind}`);
  await page.getByRole("button", { name: "Submit job" }).waitFor();
  return page;
}

/** The args of the job that came of it. */
async function sent(page: Page): Promise<unknown> {
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  return (await call<JobBody>(play.daybook, "GET", `/api/jobs/${new URL(page.url()).pathname.split("/").at(-1)}`)).args;
}

test("numbers and choices are added to lists, and an empty one is named", async () => {
  const page = await form("lists");
  await page.getByRole("button", { name: "Add Size" }).click();
  const size = page.getByLabel("Size 1", { exact: true });
  await size.fill("12");
  await size.fill("");
  expect(await size.evaluate((node) => `${node.tagName} ${document.activeElement === node}`)).toBe("INPUT true");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.getByRole("alert").filter({ hasText: "sizes › 0 is missing" }).waitFor();
  await size.fill("640");
  await page.getByRole("button", { name: "Add Mode" }).click();
  await page.getByLabel("Mode 1", { exact: true }).selectOption({ label: '"1"' });
  expect(await violations(page)).toEqual([]);
  expect(await sent(page)).toEqual({ sizes: [640], modes: ["1"] });
});

test("what must be there and may be null begins with null", async () => {
  const page = await form("nulls");
  await page.getByLabel("Style").selectOption({ label: "bold" });
  await page.getByLabel("Style").selectOption({ label: "none" });
  expect(await sent(page)).toEqual({ loud: null, style: null, note: null });
});

test("names that every object has, and names with a slash", async () => {
  const page = await form("names");
  await page.getByLabel("Maker").fill("me");
  await page.getByLabel("Words").fill("two");
  await page.getByLabel("Odd").fill("7");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.getByRole("alert").getByRole("link", { name: "a/b" }).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.type("2");
  expect(await sent(page)).toEqual({ constructor: "me", toString: "two", "a/b": 2 });
});

test("a schema that refers to itself seven times is drawn as it is opened", async () => {
  const page = await form("tree");
  await page.getByRole("button", { name: "Add Root" }).click();
  await page.getByRole("group", { name: "Root" }).getByRole("button", { name: "Add C" }).click();
  await picture(page, "submit-tree-light");
  expect(await sent(page)).toEqual({ root: { v: 1, c: { v: 1 } } });
});

test("a fault without a field leads to the form", async () => {
  const page = await form("ghost");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.getByRole("alert").getByRole("link", { name: "ghost" }).click();
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("field/args");
});

test("a seed of twenty digits is shown, and sent again, as it was", async () => {
  const body = '{"kind":"seeds","args":{"seed":18446744073709551615,"list":[9007199254740993,7]}}';
  const answer = await fetch(`${play.daybook.url}/api/jobs`, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { id } = (await answer.json()) as JobBody;
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  await page.getByText("18446744073709551615").first().waitFor();
  await page.getByText("9007199254740993").first().waitFor();
  await page.goto(`/submit?from=${id}`);
  expect(await page.getByLabel("Seed", { exact: true }).inputValue()).toBe("18446744073709551615");
  await page.getByLabel("Seed", { exact: true }).fill("18446744073709551614");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL((url) => /\/jobs\/[0-9a-f-]+$/.test(url.pathname) && !url.pathname.endsWith(id));
  const again = await fetch(`${play.daybook.url}/api${new URL(page.url()).pathname}`).then((sent) => sent.text());
  expect(again).toContain('"seed":18446744073709551614');
  expect(again).toContain('"list":[9007199254740993,7]');
});

test("args of a job with many rows are sent again as they were, and other fields are quick to type in", async () => {
  const rows = Array.from({ length: 20_000 }, (_, at) => ({ path: `/data/${at}.png`, size: at }));
  const job = await submit(play.daybook, { kind: "rows", args: { rows, name: "old" } });
  const page = await play.tab();
  await page.goto(`/submit?from=${job.id}`);
  await page.getByText("20,000 elements, about").waitFor();
  await page.getByLabel("Name", { exact: true }).fill("new");
  expect(await sent(page)).toEqual({ rows, name: "new" });
});
