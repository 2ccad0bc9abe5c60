import { expect, test } from "vitest";
import type { LogEvent, SubscriptionEvent } from "../sync/index.ts";
import { Aftermath, fateOf, wordsOfAftermath } from "./aftermath.ts";

const event = (seq: number, type: string, job: string, data: object = {}): LogEvent => ({ seq, at: "", type, job_id: job, data });

function make() {
  let hear: (event: SubscriptionEvent) => void = () => {};
  const log = { closed: 0, wanted: [] as unknown[] };
  const around = { read: () => null, write: () => {}, onWrite: () => {}, hidden: () => false, after: () => () => {} };
  const subscribe = (wanted: unknown, listener: (event: SubscriptionEvent) => void) => {
    log.wanted.push(wanted);
    hear = listener;
    return { id: "a", update: () => {}, close: () => void (log.closed += 1) };
  };
  const aftermath = new Aftermath({ subscribe, around });
  return { aftermath, log, say: (...events: LogEvent[]) => hear({ type: "events", id: "a", seq: 9, events }) };
}

test("the last word about a job is its fate", () => {
  const { aftermath, say, log } = make();
  aftermath.follow({ epoch: "one", seq: 5 }, "two");
  expect(log.wanted).toEqual([{ topic: "events", since: { epoch: "one", seq: 5 } }]);
  say(
    event(6, "job.queued", "a", { cause: "shutdown" }),
    event(7, "job.attempt_lost", "b", { cause: "server_restarted" }),
    event(8, "job.failed", "b", { reason: "lost" }),
    event(9, "job.adopted", "c"),
    event(10, "job.attempt_lost", "d", { cause: "lease_expired" }),
    event(11, "job.adopted", "e"),
  );
  const view = aftermath.view.get();
  if (view === null) throw new Error("it is followed");
  expect(wordsOfAftermath(view)).toBe("2 jobs go on where they were, 1 was queued again, 1 lost its run and is queued again, 1 failed, lost too often.");
});

test("everyday events say nothing of a restart", () => {
  expect(fateOf(event(1, "job.queued", "a", { cause: "retry_due" }))).toBeNull();
  expect(fateOf(event(1, "job.failed", "a", { reason: "not_retryable" }))).toBeNull();
  expect(fateOf(event(1, "job.submitted", "a"))).toBeNull();
});

test("nothing lost so far is said as well", () => {
  expect(wordsOfAftermath({ epoch: "two", jobs: new Map(), partial: false })).toContain("No run was lost");
});

test("too much is not followed for ever, and a reset forgets it", () => {
  const { aftermath, say, log } = make();
  aftermath.follow({ epoch: "one", seq: 5 }, "two");
  say(...Array.from({ length: 1001 }, (_, n) => event(n, "job.adopted", `job ${n}`)));
  expect(aftermath.view.get()).toMatchObject({ partial: true });
  expect(log.closed).toBe(1);
  aftermath.clear();
  expect(aftermath.view.get()).toBeNull();
});
