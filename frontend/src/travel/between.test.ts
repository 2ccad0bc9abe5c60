import { expect, test, vi } from "vitest";
import type { Api } from "../api/index.ts";
import type { QueueRow } from "../api/types.gen.ts";
import { foldBetween, queuesBetween, readBetween, sumOf } from "./between.ts";

const event = (seq: number, type: string, job_id: string | null = null) => ({ seq, type, job_id, at: "", actor: { type: "server", id: null }, data: {} });
const queue = (name: string, queued: number, running = 0) => ({ name, depth: { queued, running, scheduled: 0, retryable: 0, blocked: 0 } }) as QueueRow;

test("what happened is counted, and jobs once", () => {
  const found = foldBetween([event(1, "job.submitted", "a"), event(2, "job.started", "a"), event(3, "job.submitted", "b"), event(4, "queue.paused")]);
  expect(found).toMatchObject({ events: 4, touched: 2, submitted: 2, started: 1, completed: 0 });
  expect(found.types[0]).toEqual(["job.submitted", 2]);
});

test("queues of either moment are compared, those that changed most first", () => {
  expect(queuesBetween([queue("a", 1), queue("b", 5)], [queue("a", 1, 1), queue("c", 3)])).toEqual([
    { name: "b", before: 5, after: 0 },
    { name: "c", before: 0, after: 3 },
    { name: "a", before: 1, after: 2 },
  ]);
  expect(sumOf([queue("a", 1, 2), queue("b", 3)])).toMatchObject({ queued: 4, running: 2 });
});

test("events are read page by page, up to the second moment and no further", async () => {
  const get = vi.fn(async (_path: string, { query }: { query: { after: number; limit: number } }) => ({
    events: Array.from({ length: query.limit }, (_, n) => event(query.after + n + 1, "job.started", "a")),
  }));
  const found = await readBetween({ get } as unknown as Api, 10, 1210, undefined);
  expect(found.events).toBe(1200);
  expect(get.mock.calls.map(([, { query }]) => query)).toEqual([
    { after: 10, limit: 500 },
    { after: 510, limit: 500 },
    { after: 1010, limit: 200 },
  ]);
});
