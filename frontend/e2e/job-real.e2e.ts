// A real worker in a process of its own (examples/generate): steps, previews and pictures as a person sees them.

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { picture, stage } from "./support/stage.ts";
import { submit } from "./support/worker.ts";

const generate = fileURLToPath(new URL("../../examples/generate/generate.py", import.meta.url));
const schema = fileURLToPath(new URL("../../schemas/kinds/svi.schema.json", import.meta.url));
const play = stage({
  config: `
[kinds.svi]
schema = ${JSON.stringify(schema)}
timeout_s = 600
[kinds.svi.run]
mode = "session"
command = ["python3", ${JSON.stringify(generate)}, "svi", "session"]
processes = 1
env = { GENERATE_STEP_S = "0.15" }
`,
});

test("a picture that is being drawn shows its steps and previews, and the files at the end", async () => {
  const { id } = await submit(play.daybook, { kind: "svi", args: { prompt: "a lighthouse", steps: 8, frames: 3, seed: 7 } });
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  const preview = page.getByRole("img", { name: /^Preview/ });
  await preview.waitFor();
  await page.waitForFunction(() => (document.querySelector<HTMLImageElement>("section[aria-label=Preview] img")?.naturalWidth ?? 0) > 0);
  const first = await preview.getAttribute("src");
  await picture(page, "job-drawing");
  await page.waitForFunction((old) => document.querySelector("section[aria-label=Preview] img")?.getAttribute("src") !== old, first);
  // A refresh in the middle: progress and preview are there again.
  await page.reload();
  await page.getByRole("progressbar", { name: "Progress of the job" }).waitFor();
  await page.locator(`main [data-job-id="${id}"][data-state="completed"]`).waitFor({ timeout: 50_000 });
  await page.waitForFunction(() => [...document.querySelectorAll<HTMLImageElement>("[data-file] img")].filter((one) => one.naturalWidth > 0).length === 3);
  await picture(page, "job-drawn");
  await page.getByRole("tab", { name: "Log" }).click();
  await page.getByText("frame-0003.png:").waitFor();
  expect(await page.locator("[data-line]").count()).toBeGreaterThan(3);
});
