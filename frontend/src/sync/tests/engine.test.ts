import { expect, test } from "vitest";
import { backoffMs } from "../backoff.ts";
import { pillOf, Sync, type Connection } from "../index.ts";
import { SUBSCRIPTIONS_MAX } from "../limits.ts";
import type { Ports, SocketHandlers } from "../ports.ts";

interface Bench {
  readonly sync: Sync;
  readonly failures: unknown[];
  readonly sent: string[];
  readonly sockets: SocketHandlers[];
  readonly urls: string[];
  say(frame: object): void;
}

function bench(more: Partial<Ports> = {}, url = "ws://daybook.test/api/live"): Bench {
  const failures: unknown[] = [];
  const sent: string[] = [];
  const sockets: SocketHandlers[] = [];
  const urls: string[] = [];
  const ports: Ports = {
    clock: { now: () => 0, after: () => () => {} },
    random: () => 0.5,
    socket: (address, _protocol, handlers) => {
      urls.push(address);
      sockets.push(handlers);
      return { send: (text) => sent.push(text), close: () => {} };
    },
    storage: { get: () => null, set: () => {} },
    fetch: () => Promise.reject(new Error("nobody asks")),
    page: { visible: () => true, online: () => true, listen: () => () => {} },
    failed: (error) => failures.push(error),
    ...more,
  };
  const sync = new Sync({ url, ports });
  return { sync, failures, sent, sockets, urls, say: (frame) => sockets.at(-1)?.frame(JSON.stringify(frame)) };
}

const STATUS = { type: "status", epoch: "E1", seq: 1, ping_s: 10, session: "S1" };

test("a listener that throws is shown, and stops nobody", () => {
  const { sync, failures, say, sent } = bench();
  const heard: string[] = [];
  sync.listen(() => {
    throw new Error("mine");
  });
  sync.listen(({ type }) => heard.push(type));
  sync.start();
  say(STATUS);
  say({ type: "ping" });
  expect(failures.length).toBe(heard.length);
  expect(sent).toEqual(['{"type":"pong"}']);
  expect(sync.connection.state).toBe("live");
});

test("a listener may call back: everybody hears turns in order", () => {
  const { sync, say, sent } = bench();
  const heard: string[] = [];
  sync.listen((event) => {
    if (event.type === "connection" && event.connection.state === "live") {
      sync.subscribe({ topic: "events", id: "e" }, () => {});
    }
  });
  sync.listen((event) => heard.push(event.type === "connection" ? event.connection.state : event.type));
  sync.start();
  say(STATUS);
  expect(heard).toEqual(["connecting", "live"]);
  expect(sent.map((text) => (JSON.parse(text) as { type: string }).type)).toEqual(["subscribe"]);
});

test("a listener that stops us is heard of after what it was told", () => {
  const { sync, say } = bench();
  const heard: string[] = [];
  sync.listen((event) => {
    if (event.type === "connection" && event.connection.state === "live") sync.stop();
  });
  sync.listen((event) => heard.push(event.type === "connection" ? event.connection.state : event.type));
  sync.start();
  say(STATUS);
  expect(heard).toEqual(["connecting", "live", "idle"]);
});

test("an answer that comes after its epoch is thrown away, whoever it is from", async () => {
  let answer: (response: Response) => void = () => {};
  const { sync, say, sockets } = bench({ fetch: () => new Promise((resolve) => (answer = resolve)) });
  sync.start();
  say(STATUS);
  const asked = sync.fetch("/api/jobs");
  sockets.at(-1)?.closed(1006, "");
  sync.retry();
  say({ ...STATUS, epoch: "E2" });
  answer(new Response("{}"));
  await expect(asked).rejects.toMatchObject({ code: "epoch_changed" });
});

test("each subscription hears its own events only, and none after it is closed", () => {
  const { sync, say } = bench();
  const heard: string[] = [];
  const events = sync.subscribe({ topic: "events", id: "e" }, ({ type }) => heard.push(type));
  sync.subscribe({ topic: "queues", id: "q" }, () => {});
  sync.start();
  say(STATUS);
  say({ type: "subscribed", id: "q", recovered: false, mode: "snapshot", seq: 1 });
  say({ type: "subscribed", id: "e", recovered: false, mode: "live", seq: 1 });
  events.close();
  events.close();
  say({ type: "events", id: "e", prev: 1, seq: 2, events: [] });
  expect(heard).toEqual(["live"]);
});

test("an id is used once at a time, and is free again after a close", () => {
  const { sync } = bench();
  const first = sync.subscribe({ topic: "events", id: "e" }, () => {});
  expect(() => sync.subscribe({ topic: "events", id: "e" }, () => {})).toThrow("open already");
  first.close();
  const second = sync.subscribe({ topic: "events", id: "e" }, () => {});
  // The handle of the first must not close the second.
  first.close();
  expect(() => sync.subscribe({ topic: "events", id: "e" }, () => {})).toThrow("open already");
  second.close();
});

test("a socket that cannot even be made is a loss like any other", () => {
  const { sync, failures } = bench({
    socket: () => {
      throw new Error("forbidden by the page's policy");
    },
  });
  sync.start();
  expect(sync.connection).toMatchObject({ state: "waiting", reason: "closed" });
  expect(failures.length).toBe(1);
});

test("the session of the connection is known while it lasts", () => {
  const { sync, say, sockets } = bench();
  sync.start();
  expect(sync.session).toBeNull();
  say(STATUS);
  expect(sync.session).toBe("S1");
  sockets.at(-1)?.closed(1006, "");
  sync.retry();
  expect(sync.session).toBeNull();
});

test("our own question after a restart is never one too many for the server", () => {
  const { sync, say, sockets, sent } = bench();
  const told: string[] = [];
  sync.listen((event) => told.push(event.type === "epoch" ? event.what : ""));
  for (let made = 0; made < SUBSCRIPTIONS_MAX; made++) sync.subscribe({ topic: "queues" }, () => {});
  sync.start();
  say(STATUS);
  sockets.at(-1)?.closed(1006, "");
  sync.retry();
  sent.length = 0;
  say({ ...STATUS, epoch: "E2", seq: 3 });
  expect(sent.map((text) => (JSON.parse(text) as { id: string }).id)).toEqual(["daybook:place"]);
  say({ type: "subscribed", id: "daybook:place", recovered: true, mode: "resume", seq: 3 });
  expect(sent.length).toBe(2 + SUBSCRIPTIONS_MAX);
  expect(told).toContain("restart");
});

test("http becomes ws, https becomes wss", () => {
  for (const [from, to] of [
    ["http://a.test/api/live", "ws://a.test/api/live"],
    ["https://a.test/api/live", "wss://a.test/api/live"],
  ] as const) {
    const { sync, urls } = bench({}, from);
    sync.start();
    expect(urls).toEqual([to]);
  }
});

test("a request ends by its own signal too, and keeps its own reason", async () => {
  const { sync } = bench({
    fetch: (_input, init) =>
      new Promise((_answer, fail) => init?.signal?.addEventListener("abort", () => fail(init.signal?.reason as Error))),
  });
  const own = new AbortController();
  const answer = sync.fetch("/api/jobs", { signal: own.signal });
  own.abort(new Error("not wanted any more"));
  await expect(answer).rejects.toThrow("not wanted any more");
});

test("a new epoch ends the page's own work that joined its signal", () => {
  const { sync, say, sockets } = bench();
  sync.start();
  say(STATUS);
  const { signal } = sync;
  sockets.at(-1)?.closed(1006, "");
  sync.retry();
  say({ ...STATUS, epoch: "E2" });
  expect(signal.aborted).toBe(true);
  expect(signal.reason).toMatchObject({ code: "epoch_changed", previous: "E1", epoch: "E2" });
  expect(sync.signal.aborted).toBe(false);
});

test("waits stay within their bounds for every try and every throw of the dice", () => {
  for (let attempt = 0; attempt < 64; attempt++) {
    for (const random of [0, 0.25, 0.5, 0.999999]) {
      for (const [visible, most] of [[true, 3_000], [false, 30_000]] as const) {
        const ms = backoffMs(attempt, random, visible);
        expect(ms).toBeGreaterThanOrEqual(50);
        expect(ms).toBeLessThanOrEqual(attempt === 0 ? 250 : most);
      }
    }
  }
});

test("the pill has four words", () => {
  const cases: [Connection, string][] = [
    [{ state: "live", restarted: false }, "live"],
    [{ state: "live", restarted: true }, "restarted"],
    [{ state: "catching_up", restarted: false }, "catching-up"],
    [{ state: "catching_up", restarted: true }, "restarted"],
    [{ state: "connecting", restarted: false }, "catching-up"],
    [{ state: "stale", restarted: false }, "catching-up"],
    [{ state: "waiting", retryAt: 1, reason: "closed", restarted: false }, "offline"],
    [{ state: "offline", retryAt: null, restarted: false }, "offline"],
    [{ state: "stopped", code: 4500, reason: "", restarted: false }, "offline"],
    [{ state: "idle", restarted: false }, "offline"],
  ];
  for (const [connection, word] of cases) expect(pillOf(connection)).toBe(word);
});
