// kill -9 and a start on the same data, twenty times: how long until the list is fresh. Counted from the server's first
// healthy answer until a job that was submitted after it stands in the list; how long the server took to start is
// said beside it. The page waits between its tries while nobody is there, the longer the longer that lasts (3 s at most),
// so most of it is that wait: it is measured after a short absence of the server and after a longer one.

import { beforeAll, test } from "vitest";
import { stage } from "../e2e/support/stage.ts";
import { submit } from "../e2e/support/worker.ts";
import { atMost, p95, say, spread, verdict } from "./report.ts";
import { addressOf, fill, killAndStart } from "./server.ts";

const JOBS = 10_000;
const TIMES = 20;
const play = stage();

beforeAll(async () => {
  await fill(play.daybook, JOBS);
});

test.each([
  ["at once", 0],
  ["after 3 s", 3_000],
] as const)("from a server that is there again to a fresh list: started again %s", async (words, away) => {
  const page = await play.tab();
  await page.goto(`${await addressOf(play)}/jobs`);
  await page.locator('[data-connection="live"]').waitFor();
  const starts: number[] = [];
  const fresh: number[] = [];
  const whole: number[] = [];
  for (let n = 0; n < TIMES; n++) {
    const killed = performance.now();
    starts.push(await killAndStart(play, away));
    const ready = performance.now();
    const { id } = await submit(play.daybook, { kind: "after", args: { n } });
    await page.locator(`[role=row][data-job-id="${id}"]`).waitFor();
    fresh.push(performance.now() - ready);
    whole.push(performance.now() - killed);
    await page.locator('[data-connection="live"], [data-connection="restarted"]').waitFor();
  }
  say("jobs on the server", JOBS.toLocaleString("en"));
  say("the server's start, process to healthy", spread(starts));
  atMost(`started ${words}: healthy to fresh list, p95`, p95(fresh) / 1000, 3, "s", spread(fresh));
  say("kill to fresh list, all in all", spread(whole));
  verdict();
});
