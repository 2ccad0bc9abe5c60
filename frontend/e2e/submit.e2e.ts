// The form of a job: from the schema of its kind, with the server's errors at their fields; jobs submitted again, and once.

import { expect, test } from "vitest";
import { picture, stage, violations } from "./support/stage.ts";
import { call, submit, Worker } from "./support/worker.ts";
import type { JobBody, JobList } from "../src/api/types.gen.ts";

const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Draw",
  description: "A picture from a prompt.",
  type: "object",
  properties: {
    prompt: { title: "Prompt", description: "What to draw.", type: "string", minLength: 1, maxLength: 500 },
    steps: { title: "Steps", type: "integer", minimum: 1, maximum: 100, default: 8 },
    style: { title: "Style", enum: ["plain", "bold"], default: "plain" },
    loud: { title: "Loud", type: "boolean", default: false },
    image: { title: "Image", type: "string", contentEncoding: "base64" },
    words: { title: "Word", type: "array", items: { type: "string", minLength: 2 } },
  },
  required: ["prompt"],
  additionalProperties: false,
};

const play = stage({ config: '[kinds.draw]\nschema = "draw.json"\n[kinds.free]\n', files: { "draw.json": JSON.stringify(SCHEMA) } });
const jobsOf = (kind: string) => call<JobList>(play.daybook, "GET", `/api/jobs?kind=${kind}`);
const idIn = (url: string): string => new URL(url).pathname.split("/").at(-1) ?? "";
const DOT = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

test("a job is submitted from the form, with the defaults, and is seen to finish", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=draw");
  expect(await page.getByLabel("Steps").inputValue()).toBe("8");
  await page.getByLabel("Prompt").fill("a lighthouse");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  const job = await call<JobBody>(play.daybook, "GET", `/api/jobs/${idIn(page.url())}`);
  expect(job.args).toEqual({ prompt: "a lighthouse", steps: 8, style: "plain", loud: false });
  const worker = await Worker.join(play.daybook);
  const lease = await worker.take();
  expect(lease.id).toBe(job.id);
  await lease.complete({ answer: 42 });
  await page.getByText("completed").first().waitFor();
});

test("the server's errors stand at their fields, and the summary leads there", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Steps").fill("500");
  await page.getByRole("button", { name: "Submit job" }).click();
  const summary = page.getByRole("alert").filter({ hasText: "prompt" });
  await summary.waitFor();
  expect(await page.getByLabel("Steps").getAttribute("aria-invalid")).toBe("true");
  expect(await page.getByLabel("Prompt").getAttribute("aria-invalid")).toBe("true");
  await picture(page, "submit-errors-light");
  expect(await violations(page)).toEqual([]);
  await summary.getByRole("link", { name: "steps" }).click();
  expect(await page.evaluate(() => (document.activeElement as HTMLInputElement).value)).toBe("500");
  await page.keyboard.press("Control+a");
  await page.keyboard.type("7");
  await page.waitForFunction(() => document.querySelector('[id="field/args/steps"]')?.getAttribute("aria-invalid") === null);
  await page.getByLabel("Prompt").fill("now");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
});

test("a fault that shows as a field is left moves no button from under the finger", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Prompt").fill("a lighthouse");
  await page.getByLabel("Steps").fill("500");
  // The check has seen it by then; nothing is said before the field is left.
  const button = page.getByRole("button", { name: "Submit job" });
  await page.locator('form[aria-busy="false"]').waitFor();
  expect(await page.getByLabel("Steps").getAttribute("aria-invalid")).toBeNull();
  await button.scrollIntoViewIfNeeded();
  const box = await button.boundingBox();
  await page.mouse.move((box?.x ?? 0) + 10, (box?.y ?? 0) + 2);
  await page.mouse.down();
  expect(await button.boundingBox()).toEqual(box);
  await page.mouse.up();
  await page.getByRole("alert").filter({ hasText: "steps" }).waitFor();
});

test("a file becomes base64", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Prompt").fill("from a picture");
  await page.getByLabel("Image", { exact: false }).first().setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: DOT });
  await page.getByRole("button", { name: "Remove Image" }).waitFor();
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  const job = await call<JobBody>(play.daybook, "GET", `/api/jobs/${idIn(page.url())}`);
  expect((job.args as { image: string }).image).toBe(DOT.toString("base64"));
});

test("a form is filled in and sent by keys alone", async () => {
  const page = await play.tab();
  await page.goto("/jobs");
  await page.locator('[data-connection="live"]').waitFor();
  await page.keyboard.press("g");
  await page.keyboard.press("n");
  await page.waitForURL("**/submit");
  await page.getByRole("heading", { name: "Submit a job" }).waitFor();
  const kind = page.getByLabel("Kind", { exact: true });
  await kind.waitFor();
  for (let n = 0; n < 40 && !(await kind.evaluate((node) => node === document.activeElement)); n++) await page.keyboard.press("Tab");
  await page.keyboard.press("d");
  for (let n = 0; n < 10 && !(await page.getByLabel("Prompt").evaluate((node) => node === document.activeElement)); n++) await page.keyboard.press("Tab");
  await page.keyboard.type("typed only");
  await page.keyboard.press("Control+Enter");
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
});

test("a kind without a schema takes JSON, and one that nobody listed takes a name", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=free");
  await page.getByLabel("Arguments").fill('{"any": [1, 2]}');
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  expect((await call<JobBody>(play.daybook, "GET", `/api/jobs/${idIn(page.url())}`)).args).toEqual({ any: [1, 2] });
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Kind").selectOption({ label: "another kind …" });
  await page.getByLabel("Name of the kind").fill("unlisted");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  expect((await jobsOf("unlisted")).jobs.length).toBe(1);
});

test("an answer that is lost, and the button pressed again: one job", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Prompt").fill("only once");
  await page.locator("summary").click();
  await page.getByLabel("Tags").fill("once");
  let first = true;
  await page.route("**/api/jobs", async (route) => {
    if (!first || route.request().method() !== "POST") return route.continue();
    first = false;
    await route.fetch();
    await route.abort();
  });
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.getByRole("alert").filter({ hasText: "No answer came" }).waitFor();
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  expect((await call<JobList>(play.daybook, "GET", "/api/jobs?tag=once")).jobs.length).toBe(1);
});

test("a double click submits once", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=free");
  await page.locator("summary").click();
  await page.getByLabel("Tags").fill("double");
  await page.getByRole("button", { name: "Submit job" }).dblclick();
  await page.waitForURL(/\/jobs\/[0-9a-f-]+$/);
  expect((await call<JobList>(play.daybook, "GET", "/api/jobs?tag=double")).jobs.length).toBe(1);
});

test("a job is submitted again with its own args, queue and tags", async () => {
  const job = await submit(play.daybook, { kind: "draw", args: { prompt: "again", steps: 3 }, queue: "slow", tags: ["red", "blue"] });
  const page = await play.tab();
  await page.goto(`/submit?from=${job.id}`);
  await page.getByLabel("Prompt").waitFor();
  expect(await page.getByLabel("Prompt").inputValue()).toBe("again");
  expect(await page.getByLabel("Steps").inputValue()).toBe("3");
  expect(await page.getByLabel("Queue").inputValue()).toBe("slow");
  expect(await page.getByLabel("Tags").inputValue()).toBe("red, blue");
});

test("the way there from a job: a button when it ended, its menu always", async () => {
  const args = { prompt: "from its page", steps: 5 };
  const job = await submit(play.daybook, { kind: "draw", args, queue: "slow", tags: ["red"] });
  const page = await play.tab();
  await page.goto(`/jobs/${job.id}`);
  await page.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Submit again …" }).click();
  await page.waitForURL(`**/submit?from=${job.id}`);
  await page.getByLabel("Prompt").waitFor();
  expect(await page.getByLabel("Prompt").inputValue()).toBe("from its page");
  await page.goBack();
  await call(play.daybook, "POST", `/api/jobs/${job.id}/cancel`, {});
  await page.getByRole("link", { name: "Submit again" }).click();
  await page.waitForURL(`**/submit?from=${job.id}`);
  await page.getByText(`As job ${job.id}`).waitFor();
  expect(await page.getByLabel("Prompt").inputValue()).toBe("from its page");
  expect(await page.getByLabel("Steps").inputValue()).toBe("5");
  await page.getByRole("button", { name: "Submit job" }).click();
  await page.waitForURL((url) => /\/jobs\/[0-9a-f-]+$/.test(url.pathname) && idIn(url.href) !== job.id);
  const again = await call<JobBody>(play.daybook, "GET", `/api/jobs/${idIn(page.url())}`);
  expect({ args: again.args, kind: again.kind, queue: again.queue, tags: again.tags }).toEqual({ args: { ...args, style: "plain", loud: false }, kind: "draw", queue: "slow", tags: ["red"] });
});

test("what was typed is there after a restart and after a refresh", async () => {
  const page = await play.tab();
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Prompt").fill("half a thought");
  await play.restart();
  await page.locator('[data-connection="restarted"], [data-connection="live"]').waitFor();
  expect(await page.getByLabel("Prompt").inputValue()).toBe("half a thought");
  await page.reload();
  await page.getByLabel("Prompt").waitFor();
  expect(await page.getByLabel("Prompt").inputValue()).toBe("half a thought");
});

test.each([
  ["desk", "light"],
  ["desk", "dark"],
  ["phone", "light"],
  ["phone", "dark"],
] as const)("pictures and barriers: %s, %s", async (size, theme) => {
  const page = await play.tab({ size, theme });
  await page.goto("/submit?kind=draw");
  await page.getByLabel("Prompt").waitFor();
  await page.locator("summary").click();
  await page.getByRole("button", { name: "Add Word" }).click();
  expect(await violations(page)).toEqual([]);
  await picture(page, `submit-${size}-${theme}`);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true);
});

