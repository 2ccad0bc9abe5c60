// What a job stored: videos and sounds are played on its page, what cannot be shown is said to be so, and after a reset
// none of it is asked for.

import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { begin } from "./support/begun.ts";
import { filmOf, toneOf } from "./support/films.ts";
import { record } from "./support/record.ts";
import { listGoesOn } from "./support/settled.ts";
import { stage } from "./support/stage.ts";

const play = stage();
const SIZE = { width: 64, height: 48 } as const;

interface Media {
  readonly width: number;
  readonly height: number;
  readonly duration: number;
  readonly error: number | null;
}

/** What the browser has found out about a file of the page. */
async function mediaOf(page: Page, file: string): Promise<Media> {
  const node = page.locator(`[data-file="${file}"]`).locator("video, audio");
  await node.waitFor();
  const look = (): Promise<number> => node.evaluate((one) => (one as HTMLMediaElement).readyState);
  await expect.poll(look).toBeGreaterThanOrEqual(1);
  return node.evaluate((one) => {
    const { videoWidth = 0, videoHeight = 0, duration, error } = one as HTMLVideoElement;
    return { width: videoWidth, height: videoHeight, duration, error: error?.code ?? null };
  });
}

test("a video and a sound are shown, and play", async () => {
  const { id, lease } = await begin(play.daybook);
  const page = await play.tab();
  await lease.file("film.webm", "video/webm", await filmOf(page, SIZE.width, SIZE.height));
  await lease.file("tone.wav", "audio/wav", toneOf(0.5));
  await lease.complete({});
  await page.goto(`/jobs/${id}`);
  expect(await mediaOf(page, "film.webm")).toMatchObject({ ...SIZE, error: null });
  const sound = await mediaOf(page, "tone.wav");
  expect(sound).toMatchObject({ width: 0, error: null });
  expect(sound.duration).toBeCloseTo(0.5, 2);
  for (const file of ["film.webm", "tone.wav"]) {
    const node = page.locator(`[data-file="${file}"]`).locator("video, audio");
    expect(await node.getAttribute("controls")).not.toBeNull();
    // To its end: all of it came, and all of it can be read.
    await node.evaluate(async (one) => {
      const media = one as HTMLMediaElement;
      const ended = new Promise((done) => (media.onended = done));
      media.muted = true;
      await media.play();
      await ended;
    });
  }
  const tone = page.locator("[data-file='tone.wav']");
  const [download] = await Promise.all([page.waitForEvent("download"), tone.getByRole("link", { name: "Save tone.wav" }).click()]);
  expect(download.suggestedFilename()).toBe("tone.wav");
});

test("what is no picture, no video and no sound behind such a name is said, and can be saved all the same", async () => {
  const { id, lease } = await begin(play.daybook);
  const junk = new TextEncoder().encode("nothing that one can look at or listen to");
  const files = [["broken.png", "image/png"], ["broken.webm", "video/webm"], ["broken.wav", "audio/wav"]] as const;
  for (const [name, type] of files) await lease.file(name, type, junk);
  await lease.complete({});
  const page = await play.tab();
  await page.goto(`/jobs/${id}`);
  for (const [name] of files) {
    const file = page.locator(`[data-file="${name}"]`);
    await file.getByText("This browser cannot show it.").waitFor();
    await file.getByRole("link", { name: `Save ${name}` }).waitFor();
  }
});

test("after a reset no file of before is asked for, also while it plays", async () => {
  const { id, lease } = await begin(play.daybook);
  const page = await play.tab();
  await lease.file("film.webm", "video/webm", await filmOf(page, SIZE.width, SIZE.height));
  await lease.file("tone.wav", "audio/wav", toneOf(600));
  await lease.complete({});
  await page.goto(`/jobs/${id}`);
  await mediaOf(page, "film.webm");
  await mediaOf(page, "tone.wav");
  await page.locator('[data-connection="live"]').waitFor();
  await page.locator("[data-file='tone.wav'] audio").evaluate(async (node) => {
    (node as HTMLMediaElement).muted = true;
    await (node as HTMLMediaElement).play();
  });
  const asked = record(page);
  await play.daybook.kill();
  await page.locator('[data-connection="offline"]').waitFor();
  asked.length = 0;
  await play.daybook.start("--reset-on-startup");
  await play.front.to(play.daybook.port);
  await page.getByText("This job is gone with the old log").waitFor();
  await page.getByRole("link", { name: "Jobs", exact: true }).click();
  await listGoesOn(page, play.daybook);
  expect(asked.filter((one) => one.includes(id))).toEqual([]);
});
