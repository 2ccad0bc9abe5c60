import { expect, test, vi } from "vitest";
import { Api } from "../api/index.ts";
import { EpochChanged, type Connection, type SyncEvent } from "../sync/index.ts";
import { FakeServer, idOf, ManualFrames, rowOf } from "./tests-support.ts";
import { World } from "./world.ts";

const LIVE: Connection = { state: "live", restarted: false };

const settled = async (): Promise<void> => {
  for (let turns = 0; turns < 20; turns++) await Promise.resolve();
};

function make(answer: (path: string) => Promise<Response> = () => Promise.reject(new TypeError("no network in tests"))) {
  const server = new FakeServer();
  const frames = new ManualFrames();
  const sync = { ...line(), subscribe: server.subscribe };
  const api = new Api(answer);
  return { world: new World(sync, api, frames), sync, server, frames };
}

function line() {
  let hear: (event: SyncEvent) => void = () => {};
  return {
    connection: { state: "connecting", restarted: false } as Connection,
    epoch: null as string | null,
    retry: vi.fn(),
    fetch: vi.fn(() => Promise.resolve(new Response("{}"))),
    listen(listener: (event: SyncEvent) => void) {
      hear = listener;
      return () => {};
    },
    say: (event: SyncEvent) => hear(event),
  };
}

test("the first epoch comes with the connection", () => {
  const { world, sync } = make();
  expect(world.age.get()).toEqual({ epoch: null, log: 0 });
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  expect(world.age.get()).toEqual({ epoch: "one", log: 0 });
});

test("another epoch is not told before it is decided what it is", () => {
  const { world, sync } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  sync.epoch = "two";
  sync.say({ type: "connection", connection: { state: "catching_up", restarted: true } });
  expect(world.age.get().epoch).toBe("one");
  expect(world.decided).toBe(false);
  sync.say({ type: "epoch", what: "restart", previous: "one", epoch: "two" });
  expect(world.age.get()).toEqual({ epoch: "two", log: 0 });
  expect(world.decided).toBe(true);
});

test("a reset forgets all jobs before anybody hears of the new epoch", () => {
  const { world, sync, server, frames } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  world.open(world.list({}));
  server.snapshot([rowOf(1)]);
  frames.turn();
  const order: string[] = [];
  world.onClear(() => order.push(`clear, ${world.age.get().epoch ?? ""}`));
  world.age.listen(() => order.push(`age, rows ${world.rows.size}`));
  sync.say({ type: "epoch", what: "reset", previous: "one", epoch: "two" });
  expect(order).toEqual(["clear, one", "age, rows 0"]);
  expect(world.age.get()).toEqual({ epoch: "two", log: 1 });
  expect(world.rows.get(idOf(1))).toBeUndefined();
  expect(world.notices.get()[0]?.tone).toBe("warning");
});

test("a restart keeps the rows", () => {
  const { world, sync, server } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  world.open(world.list({}));
  server.snapshot([rowOf(1)]);
  sync.say({ type: "epoch", what: "restart", previous: "one", epoch: "two" });
  expect(world.rows.get(idOf(1))).toBeDefined();
});

test("a followed job is held until it is let go, or gone with its log", () => {
  const { world, server } = make();
  const end = world.follow(idOf(1));
  server.snapshot([rowOf(1)]);
  expect(world.rows.get(idOf(1))).toBeDefined();
  end();
  expect(world.rows.size).toBe(0);
  world.follow(idOf(2));
  server.snapshot([rowOf(2)]);
  server.say({ type: "gone", id: "a" });
  expect(world.rows.size).toBe(0);
});

test("queues are asked for while somebody looks", () => {
  const { world, server, frames } = make();
  expect(server.asked).toHaveLength(0);
  world.queues.listen(() => {});
  world.queues.listen(() => {});
  expect(server.asked.map(({ wanted }) => wanted.topic)).toEqual(["queues"]);
  server.say({ type: "snapshot", id: "a", seq: 1, first: true, more: false, rows: [{ name: "b" }, { name: "a" }] });
  frames.turn();
  expect(world.queues.get()).toMatchObject({ phase: "ready", rows: [{ name: "a" }, { name: "b" }] });
  server.say({ type: "changes", id: "a", seq: 2, rows: [{ name: "c" }], left: ["a"] });
  frames.turn();
  expect(world.queues.get().rows.map(({ name }) => name)).toEqual(["b", "c"]);
});

test("a restart tells what became of the jobs, from the place that was held", () => {
  const { world, sync, server } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  sync.say({ type: "live", id: "x", seq: 17 });
  sync.epoch = "two";
  sync.say({ type: "epoch", what: "restart", previous: "one", epoch: "two" });
  expect(server.asked.at(-1)?.wanted).toEqual({ topic: "events", since: { epoch: "one", seq: 17 } });
  server.say({ type: "events", id: "a", seq: 19, events: [{ seq: 19, at: "", type: "job.adopted", job_id: "a", data: {} }] });
  expect(world.notices.get()[0]).toMatchObject({ detail: "1 job goes on where it was.", stays_ms: null, more: { label: "Show these jobs" } });
});

test("a reset leaves the past: its moment was of another log", () => {
  const { world, sync } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  world.at.set(5);
  sync.say({ type: "epoch", what: "reset", previous: "one", epoch: "two" });
  expect(world.at.get()).toBeNull();
  expect(world.aftermath.view.get()).toBeNull();
});

const PATH = `/api/jobs/${idOf(1)}`;

test("nothing is done to jobs while the server is away, and it says that nothing was sent", async () => {
  const { world, sync } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  sync.say({ type: "connection", connection: { state: "waiting", retryAt: 0, reason: "closed", restarted: false } });
  for (const path of [`${PATH}/cancel`, "/api/jobs/actions"]) {
    await expect(world.fetch(path, { method: "POST" })).rejects.toMatchObject({ hint: "Nothing was sent. Do it again when it is live." });
  }
  expect(sync.fetch).not.toHaveBeenCalled();
  await world.fetch("/api/queues/a/pause", { method: "POST" });
  expect(sync.fetch).toHaveBeenCalledOnce();
});

test("before it is known what another run of the server is, nothing is asked", async () => {
  const { world, sync } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  sync.epoch = "two";
  await expect(world.fetch("/api/stats")).rejects.toThrow(EpochChanged);
  expect(sync.fetch).not.toHaveBeenCalled();
});

test("what is not known about a restart is not said to be well", () => {
  const { world, sync } = make();
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  sync.say({ type: "epoch", what: "unknown", previous: "one", epoch: "two" });
  expect(world.notices.get().map(({ detail }) => detail)).toEqual(["What became of the jobs of before is not known here."]);
});

test("a list with a text is read afresh after a reset, when the new log may be asked, and over a restart", async () => {
  const asked: string[] = [];
  const { world, sync, frames } = make((path) => {
    asked.push(`${path} in ${sync.epoch ?? ""}`);
    if (!world.decided) return Promise.reject(new EpochChanged("one", sync.epoch));
    return Promise.resolve(new Response(JSON.stringify({ jobs: [], next_cursor: null })));
  });
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  const list = world.list({ q: "x" });
  world.open(list);
  await settled();
  sync.epoch = "two";
  list.refresh();
  await settled();
  sync.say({ type: "epoch", what: "restart", previous: "one", epoch: "two" });
  await settled();
  frames.turn();
  expect(list.view.get()).toMatchObject({ phase: "ready", problem: null });
  sync.epoch = "three";
  sync.say({ type: "epoch", what: "reset", previous: "two", epoch: "three" });
  await settled();
  frames.turn();
  expect(list.view.get()).toMatchObject({ phase: "ready", problem: null });
  expect(asked.map((one) => one.split(" in ")[1])).toEqual(["one", "two", "two", "three"]);
});

test("about a job nothing is asked while a server that was heard is not, and before it was heard nothing waits", async () => {
  const { world, sync } = make();
  sync.say({ type: "connection", connection: { state: "waiting", retryAt: 0, reason: "closed", restarted: false } });
  expect(world.silent).toBe(false);
  await world.fetch(PATH);
  sync.epoch = "one";
  sync.say({ type: "connection", connection: LIVE });
  const steps = ["waiting", "connecting", "catching_up"] as const;
  const done = vi.fn();
  sync.say({ type: "connection", connection: { state: "waiting", retryAt: 0, reason: "closed", restarted: false } });
  const waiting = world.fetch(PATH).then(done);
  const left = new AbortController();
  const given = expect(world.fetch(PATH, { signal: left.signal })).rejects.toThrow("left");
  left.abort(new Error("left"));
  await given;
  for (const state of steps) {
    expect(done).not.toHaveBeenCalled();
    sync.say({ type: "connection", connection: { state, restarted: true, retryAt: 0 } as Connection });
    await Promise.resolve();
  }
  // Nothing is done later to a job, when another log may be there.
  await waiting;
  expect(done).toHaveBeenCalledOnce();
});
