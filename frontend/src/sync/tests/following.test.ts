// Random lives: changes, cuts, lost and repeated frames, restarts, resets, sleeps. In the end every mirror equals the
// server, and on topic events each event came once. Jobs that are followed one by one are never asked for in a log that
// does not have them, and closed with `gone` in no other. A failure names its seed.

import { expect, test } from "vitest";
import { JobMirror, Sync, type SyncEvent } from "../index.ts";
import type { Ports } from "../ports.ts";
import type { ClientFrame } from "../protocol.ts";
import { ModelServer } from "./model-server.ts";

const LIVES = 200;
const STEPS = 150;

/** Mulberry32: small, and the same everywhere. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Life {
  readonly random: () => number;
  readonly server: ModelServer;
  readonly mirrors = { a: new JobMirror(), b: new JobMirror() };
  /** Events since the last reset; null before the subscription is live, for what came earlier is not its business. */
  events: number[] = [];
  eventsFrom: number | null = null;
  /** Jobs that are followed one by one, each picked from what the page shows, and those that were closed with `gone`. */
  readonly followed = new Map<string, { mirror: JobMirror; close: () => void }>();
  /** Rows that the page was told to forget, and may still show until its list has started over. */
  forgotten = new Set<string>();
  readonly goneTooSoon: string[] = [];
  gone = 0;
  wall = 0;
  timers = new Set<{ due: number; run: () => void }>();
  sync: Sync;

  constructor(seed: number) {
    this.random = dice(seed);
    this.server = new ModelServer(60);
    this.sync = new Sync({ url: "ws://model.test/api/live", ports: this.#ports() });
    this.sync.subscribe({ topic: "jobs" }, (event) => this.mirrors.a.apply(event));
    this.sync.subscribe({ topic: "jobs", filter: { state: "active" } }, (event) => this.mirrors.b.apply(event));
    this.sync.subscribe({ topic: "events" }, (event) => this.#hear(event));
    this.sync.listen((event) => {
      if (event.type === "epoch" && event.what !== "restart") this.forgotten = new Set(this.mirrors.a.list().map(({ id }) => id));
    });
    this.sync.start();
  }

  #follow(): void {
    const shown = this.mirrors.a.list().filter(({ id }) => !this.forgotten.has(id) && !this.followed.has(id));
    const job = shown[Math.floor(this.random() * shown.length)]?.id;
    if (job === undefined) return;
    const mirror = new JobMirror();
    const { close } = this.sync.subscribe({ topic: "jobs", filter: { id: job } }, (event) => {
      mirror.apply(event);
      if (event.type !== "gone") return;
      this.gone++;
      this.followed.delete(job);
      if (this.server.has(job)) this.goneTooSoon.push(job);
    });
    this.followed.set(job, { mirror, close });
  }

  #unfollow(): void {
    const [first] = this.followed;
    if (first === undefined) return;
    first[1].close();
    this.followed.delete(first[0]);
  }

  #hear(event: SyncEvent): void {
    if (event.type === "reset") {
      this.events = [];
      this.eventsFrom = null;
    } else if (event.type === "live" && this.eventsFrom === null) this.eventsFrom = event.seq;
    else if (event.type === "events") this.events.push(...event.events.map(({ seq }) => seq));
  }

  #ports(): Ports {
    return {
      clock: {
        now: () => this.wall,
        after: (inMs, run) => {
          const timer = { due: this.wall + inMs, run };
          this.timers.add(timer);
          return () => this.timers.delete(timer);
        },
      },
      random: this.random,
      socket: (_url, _protocol, handlers) => {
        const connection = this.server.accept(handlers);
        return {
          send: (text) => this.server.hear(connection, JSON.parse(text) as ClientFrame),
          close: () => {
            connection.open = false;
            connection.waiting = [];
            // A socket that was closed may still deliver what it had.
            if (this.random() < 0.5) handlers.frame('{"type":"bookmark","id":"s1","prev":1,"seq":9}');
            this.server.cut(connection);
          },
        };
      },
      storage: { get: () => null, set: () => {} },
      fetch: () => Promise.reject(new Error("nobody asks")),
      page: { visible: () => true, online: () => true, listen: () => () => {} },
      failed: (error) => {
        throw error;
      },
    };
  }

  pass(ms: number): void {
    const end = this.wall + ms;
    for (;;) {
      const next = [...this.timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.timers.delete(next);
      this.wall = next.due;
      next.run();
    }
    this.wall = end;
  }

  /** `faulty`: a numbered frame may come twice, or be lost if a later one can tell by its `prev`: `caught_up` cannot. */
  deliver(most: number, faulty: boolean): boolean {
    let any = false;
    for (const connection of this.server.connections) {
      for (let count = 0; count < most && connection.open && connection.waiting.length > 0; count++) {
        any = true;
        const text = connection.waiting.shift() ?? "";
        const fate = faulty && text.includes('"prev"') ? this.random() : 1;
        if (fate < 0.01 && text.includes('"losable":true')) continue;
        connection.handlers.frame(text);
        if (fate > 0.01 && fate < 0.03 && connection.open) connection.handlers.frame(text);
      }
    }
    return any;
  }

  step(): void {
    const fate = this.random();
    if (fate < 0.5) {
      const states = ["queued", "running", "completed"];
      this.server.commit(this.server.nameOf(Math.floor(this.random() * 20)), states[Math.floor(this.random() * 3)] ?? "queued");
    } else if (fate < 0.53) this.#follow();
    else if (fate < 0.8) this.deliver(1 + Math.floor(this.random() * 5), true);
    else if (fate < 0.9) this.pass(this.random() * 400);
    else if (fate < 0.96) this.server.connections.forEach((connection) => this.server.cut(connection));
    else if (fate < 0.98) this.server.restart(false);
    else if (fate < 0.99) this.server.restart(true);
    else if (fate < 0.992) this.#unfollow();
    // Longer than any silence that a connection may have.
    else this.pass(30_000);
  }

  settle(): void {
    for (let round = 0; round < 100; round++) {
      this.pass(200);
      this.server.bookmark();
      while (this.deliver(100, false));
    }
  }
}

test(`${LIVES} random lives end with what the server has, each event once`, () => {
  let resets = 0;
  let gone = 0;
  for (let seed = 1; seed <= LIVES; seed++) {
    const life = new Life(seed);
    life.sync.listen(({ type }) => {
      if (type === "reset") resets++;
    });
    for (let step = 0; step < STEPS; step++) life.step();
    life.settle();
    const { server, mirrors, events, eventsFrom } = life;
    const seen = [mirrors.a, mirrors.b].map((mirror) => mirror.list().map(({ id, seq }) => `${id}@${seq}`));
    const there = [false, true].map((active) => [...server.jobs(active).values()].map(({ id, seq }) => `${id}@${seq}`).sort().reverse());
    expect(seen.map((rows) => [...rows].sort().reverse()), `seed ${seed}`).toEqual(there);
    expect(server.strangers, `seed ${seed}: asked for jobs of another log`).toEqual([]);
    expect(life.goneTooSoon, `seed ${seed}: closed although the log is theirs`).toEqual([]);
    for (const [job, { mirror }] of life.followed) {
      expect(mirror.get(job)?.seq, `seed ${seed}: ${job}`).toBe(server.jobs(false).get(job)?.seq);
    }
    gone += life.gone;
    const from = eventsFrom ?? 0;
    expect(events, `seed ${seed}`).toEqual(server.events.slice(from).map(({ seq }) => seq));
  }
  // Or the lives were too easy.
  expect(resets).toBeGreaterThan(LIVES / 10);
  expect(gone).toBeGreaterThan(LIVES / 10);
});
