// A server in a hundred lines that keeps the contract's promises about positions, over a line that breaks them: frames
// are late, lost, repeated or cut off. For the test that whoever follows it still ends up with what it has.

import type { ClientFrame, Position } from "../protocol.ts";
import type { SocketHandlers } from "../ports.ts";

interface Event {
  readonly seq: number;
  readonly id: string;
  readonly state: string;
}

interface Following {
  readonly id: string;
  readonly topic: string;
  readonly active: boolean;
  /** The one job that is followed, or all. */
  readonly job: string | null;
  sent: number;
}

class Connection {
  readonly handlers: SocketHandlers;
  readonly subscriptions = new Map<string, Following>();
  /** What is on its way to the client. */
  waiting: string[] = [];
  open = true;

  constructor(handlers: SocketHandlers) {
    this.handlers = handlers;
  }

  say(frame: object): void {
    this.waiting.push(JSON.stringify(frame));
  }
}

export class ModelServer {
  events: Event[] = [];
  #epochs: { name: string; last: number }[] = [];
  #made = 0;
  #logs = 0;
  /** Jobs that were asked for and are of another log. */
  readonly strangers: string[] = [];
  #connections = new Set<Connection>();
  readonly #pageRows = 3;
  readonly #tooFar: number;

  constructor(tooFar: number) {
    this.#tooFar = tooFar;
    this.restart(false);
  }

  get head(): number {
    return this.events.length;
  }

  get epoch(): string {
    return this.#epochs.at(-1)?.name ?? "";
  }

  /** Of which log a job is can be seen by its name. */
  nameOf(number: number): string {
    return `${this.#logs}-job-${number}`;
  }

  has(job: string): boolean {
    return job.startsWith(`${this.#logs}-`);
  }

  get connections(): readonly Connection[] {
    return [...this.#connections];
  }

  jobs(active: boolean, job: string | null = null): Map<string, Event> {
    const jobs = new Map<string, Event>();
    for (const event of this.events) if (job === null || event.id === job) jobs.set(event.id, event);
    for (const [id, { state }] of jobs) if (active && state === "completed") jobs.delete(id);
    return jobs;
  }

  restart(reset: boolean): void {
    for (const connection of this.#connections) this.cut(connection);
    const current = this.#epochs.at(-1);
    if (current !== undefined) current.last = this.head;
    if (reset) {
      this.events = [];
      this.#epochs = [];
      this.#logs++;
    }
    this.#epochs.push({ name: `epoch-${++this.#made}`, last: Number.MAX_SAFE_INTEGER });
  }

  cut(connection: Connection): void {
    if (!connection.open) return;
    connection.open = false;
    connection.waiting = [];
    this.#connections.delete(connection);
    connection.handlers.closed(1006, "");
  }

  accept(handlers: SocketHandlers): Connection {
    const connection = new Connection(handlers);
    this.#connections.add(connection);
    connection.say({ type: "status", epoch: this.epoch, seq: this.head, ping_s: 10 });
    return connection;
  }

  commit(id: string, state: string): void {
    const event = { seq: this.head + 1, id, state };
    this.events.push(event);
    for (const connection of this.#connections) {
      for (const one of connection.subscriptions.values()) this.#tell(connection, one, [event], event.seq, true);
    }
  }

  /** What tells a client whose last frame was lost. */
  bookmark(): void {
    for (const connection of this.#connections) {
      for (const one of connection.subscriptions.values()) {
        connection.say({ type: "bookmark", id: one.id, prev: one.sent, seq: this.head });
        one.sent = this.head;
      }
    }
  }

  hear(connection: Connection, frame: ClientFrame): void {
    if (frame.type === "unsubscribe") connection.subscriptions.delete(frame.id);
    if (frame.type !== "subscribe") return;
    const job = frame.filter.id ?? null;
    if (job !== null && !this.has(job)) this.strangers.push(job);
    const one: Following = { id: frame.id, topic: frame.topic, active: frame.filter.state === "active", job, sent: this.head };
    connection.subscriptions.set(frame.id, one);
    const lost = frame.since === null ? null : this.#lost(frame.since);
    if (frame.since !== null && lost === null) {
      connection.say({ type: "subscribed", id: one.id, recovered: true, mode: "resume", seq: this.head });
      one.sent = frame.since.seq;
      for (let from = one.sent; from < this.head; from += 4) {
        const missed = this.events.slice(from, from + 4);
        this.#tell(connection, one, missed, missed.at(-1)?.seq ?? from);
      }
      one.sent = this.head;
      connection.say({ type: "caught_up", id: one.id, seq: this.head });
      return;
    }
    const mode = one.topic === "jobs" ? "snapshot" : "live";
    connection.say({ type: "subscribed", id: one.id, recovered: false, mode, seq: this.head });
    if (lost !== null) connection.say({ type: "reset", id: one.id, reason: lost, seq: this.head });
    if (one.topic === "jobs") this.#snapshot(connection, one);
  }

  #lost({ epoch, seq }: Position): string | null {
    const known = this.#epochs.find(({ name }) => name === epoch);
    if (known === undefined) return "unknown_epoch";
    if (seq > Math.min(known.last, this.head)) return "ahead";
    return this.head - seq > this.#tooFar ? "too_far" : null;
  }

  #snapshot(connection: Connection, one: Following): void {
    const rows = [...this.jobs(one.active, one.job).values()].reverse();
    for (let from = 0; from === 0 || from < rows.length; from += this.#pageRows) {
      const more = from + this.#pageRows < rows.length;
      connection.say({ type: "snapshot", id: one.id, seq: this.head, jobs: rows.slice(from, from + this.#pageRows), more });
    }
  }

  #tell(connection: Connection, one: Following, events: readonly Event[], seq: number, losable = false): void {
    const prev = one.sent;
    if (one.topic === "events") connection.say({ type: "events", id: one.id, prev, seq, events, losable });
    else {
      const now = this.jobs(one.active, one.job);
      const touched = [...new Set(events.map(({ id }) => id))].filter((id) => one.job === null || id === one.job);
      const jobs = touched.flatMap((id) => now.get(id) ?? []);
      connection.say({ type: "changes", id: one.id, prev, seq, jobs, left: touched.filter((id) => !now.has(id)), losable });
    }
    one.sent = seq;
  }
}
