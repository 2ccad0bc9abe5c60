// The log of a job: followed, paused, searched, saved, and whole over a cut line.

import { expect, test } from "vitest";
import { begin } from "./support/begun.ts";
import { atRest, inView, scrollTo } from "./support/rest.ts";
import { stage } from "./support/stage.ts";

const play = stage();
const begun = () => begin(play.daybook);

test("the log is followed, paused, searched, and saved as a whole", async () => {
  const { id, lease } = await begun();
  await lease.lines(Array.from({ length: 500 }, (_, n) => ({ stream: n % 5 === 0 ? "stderr" : "stdout", text: `line ${n + 1} of the log` })));
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=log`);
  await page.locator("[data-line='500']").waitFor();
  await lease.log("the newest of all");
  await page.getByText("the newest of all").waitFor();
  await page.keyboard.press("p");
  await lease.log("while it was paused");
  await page.getByRole("button", { name: "Go on (1 new)" }).click();
  await page.getByText("while it was paused").waitFor();
  await page.keyboard.press("/");
  await page.keyboard.type("LINE 25");
  await page.getByText("11 of 502 lines").waitFor();
  expect(await page.locator("mark").first().textContent()).toBe("line 25");
  await page.getByLabel("Stream").selectOption("stderr");
  await page.getByText("2 of 502 lines").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save", exact: true }).click()]);
  const text = await new Response((await download.createReadStream()) as unknown as ReadableStream).text();
  expect(text.trim().split("\n")).toHaveLength(502);
  // Somebody who reads further up is not pulled down.
  await page.getByLabel("Stream").selectOption("all");
  await page.getByLabel("Search the log").fill("");
  await page.getByText("while it was paused").waitFor();
  const log = page.getByRole("log");
  await scrollTo(log, 3000);
  await page.getByRole("button", { name: "Follow", pressed: false }).waitFor();
  const lines = await inView(log, "data-line");
  expect(lines.length).toBeGreaterThan(5);
  const height = await log.evaluate((node) => node.firstElementChild?.clientHeight);
  await lease.log("not seen from up here");
  await page.waitForFunction((known) => document.querySelector("[role=log] > div")?.clientHeight !== known, height);
  await atRest(log);
  expect(await inView(log, "data-line")).toEqual(lines);
  await page.getByRole("button", { name: "Follow" }).click();
  await page.getByText("not seen from up here").waitFor();
});

test("a cut line is mended, and the log has every line once", async () => {
  const { id, lease } = await begun();
  await lease.log("before");
  const page = await play.tab();
  await page.goto(`/jobs/${id}?tab=log`);
  await page.getByText("before").waitFor();
  play.front.cut();
  await page.locator('[data-connection="offline"]').waitFor();
  await lease.log("meanwhile");
  play.front.mend();
  await page.getByText("meanwhile").waitFor();
  expect(await page.locator("[data-line]").count()).toBe(2);
});
