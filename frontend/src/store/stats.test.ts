import { expect, test } from "vitest";
import { Api } from "../api/index.ts";
import { Stats } from "./stats.ts";

function make() {
  const asked: { path: string; signal: AbortSignal | null; answer: (running: number) => void; fail: () => void }[] = [];
  const timers = new Map<() => void, number>();
  const watchers = new Set<() => void>();
  const given = { epoch: "one" as string | null };
  const api = new Api(
    (path, init) =>
      new Promise((done, fail) => {
        const signal = init?.signal ?? null;
        signal?.addEventListener("abort", () => fail(signal.reason));
        asked.push({
          path,
          signal,
          answer: (running) => done(new Response(JSON.stringify({ jobs: { running } }), { headers: { "content-type": "application/json" } })),
          fail: () => fail(new TypeError("no network")),
        });
      }),
  );
  const stats = new Stats({
    api,
    rows: { watch: (hear) => (watchers.add(hear), () => watchers.delete(hear)) },
    around: { after: (ms, run) => (timers.set(run, ms), () => timers.delete(run)) },
    epoch: () => given.epoch,
  });
  /** Lets all timers of so long, or shorter, run. */
  const pass = (ms: number): void => {
    for (const [run, due] of [...timers]) if (due <= ms && timers.delete(run)) run();
  };
  const settle = (): Promise<void> => new Promise((done) => setTimeout(done));
  return { stats, asked, given, pass, settle, change: () => watchers.forEach((hear) => hear()), watchers };
}

test("it is asked for when somebody looks, soon after a change, and now and then", async () => {
  const { stats, asked, pass, settle, change } = make();
  expect(asked).toHaveLength(0);
  stats.listen(() => {});
  stats.listen(() => {});
  expect(asked.map(({ path }) => path)).toEqual(["/api/stats"]);
  asked[0]?.answer(7);
  await settle();
  expect(stats.get()?.jobs.running).toBe(7);
  change();
  change();
  pass(1_000);
  expect(asked).toHaveLength(2);
  asked[1]?.fail();
  await settle();
  expect(stats.get()?.jobs.running).toBe(7);
  pass(10_000);
  expect(asked).toHaveLength(3);
});

test("nobody looks: nothing is asked, and what is under way ends", async () => {
  const { stats, asked, pass, settle, watchers } = make();
  const end = stats.listen(() => {});
  end();
  expect(asked[0]?.signal?.aborted).toBe(true);
  expect(watchers.size).toBe(0);
  await settle();
  pass(10_000);
  expect(asked).toHaveLength(1);
});

test("nothing is asked before the server says which run it is, and a new log shows nothing of the old one", async () => {
  const { stats, asked, given, settle } = make();
  given.epoch = null;
  stats.listen(() => {});
  expect(asked).toHaveLength(0);
  given.epoch = "one";
  stats.renew();
  asked[0]?.answer(7);
  await settle();
  stats.renew();
  stats.clear();
  expect(asked[1]?.signal?.aborted).toBe(true);
  expect(stats.get()).toBeUndefined();
  asked[1]?.answer(9);
  await settle();
  expect(stats.get()).toBeUndefined();
  given.epoch = "two";
  stats.renew();
  asked[2]?.answer(1);
  await settle();
  expect(stats.get()?.jobs.running).toBe(1);
});
