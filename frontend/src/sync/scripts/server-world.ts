// The same steps at a real server. Frames are waited for instead of handed in, and calls are looked for in what really
// came out: their order within a subscription and their kinds, never their numbers or the time they took.

import { browserPorts } from "../browser.ts";
import { EPOCH_KEY, Sync, type SubscriptionHandle } from "../engine.ts";
import type { Ports } from "../ports.ts";
import type { PageSignal } from "../state.ts";
import { Daybook } from "./daybook.ts";
import { Proxy } from "./proxy.ts";
import { matches, type Action, type Fields, type Json, type Script, type Step } from "./vocabulary.ts";

const WAIT_MS = 15_000;
/** What must not come unless a step names it: each of these tells a person something. */
const TOLD = ["epoch", "reset", "gone", "error", "anomaly"];
/** Fields that are the same in both worlds. Numbers, epochs and times are not. */
const KEPT = ["type", "id", "topic", "mode", "recovered", "reason", "more", "code", "what", "first", "left", "state", "restarted"];

interface Stream {
  readonly entries: Fields[];
  next: number;
}

export class ServerWorld {
  sync: Sync;
  readonly #daybook: Daybook;
  readonly #proxy: Proxy;
  readonly #storage = new Map<string, string>();
  readonly #handles = new Map<string, SubscriptionHandle>();
  readonly #streams = new Map<string, Stream>();
  readonly #names = new Map<string, string>();
  readonly #held = new Map<string, () => void>();
  /** Ids of jobs that a reset took, and the frames that asked for one nevertheless. */
  readonly #gone = new Set<string>();
  readonly #askedForGone: string[] = [];
  #hear: ((signal: PageSignal) => void) | null = null;
  #stirred: () => void = () => {};
  #stopping = false;

  private constructor(daybook: Daybook, proxy: Proxy, begin: Script["begin"]) {
    this.#daybook = daybook;
    this.#proxy = proxy;
    if (begin?.saved !== undefined) this.#storage.set(EPOCH_KEY, begin.saved);
    this.sync = this.#load();
  }

  static async begin(binary: string, begin: Script["begin"]): Promise<ServerWorld> {
    const daybook = new Daybook(binary);
    await daybook.start(false);
    const proxy = await Proxy.listen();
    proxy.to(daybook.port);
    return new ServerWorld(daybook, proxy, begin);
  }

  async end(): Promise<void> {
    this.sync.stop();
    this.#proxy.close();
    await this.#daybook.remove();
  }

  async play(step: Step): Promise<void> {
    if (step.fake === true) return;
    if (step.do !== undefined) await this.#act(step.do);
    for (const frame of step.frames ?? []) await this.#await(`frame ${String(frame.id ?? "")}`, this.#loose(frame));
    for (const call of step.out ?? []) {
      const [stream, wanted] = this.#sorted(call);
      if (stream !== null) await this.#await(stream, wanted);
    }
  }

  /** Whatever was told and no step has named. */
  surprises(): Fields[] {
    return [...this.#streams].flatMap(([name, stream]) =>
      name.startsWith("emit ") ? stream.entries.filter((entry) => TOLD.includes(String(entry.type)) && entry.seen !== true) : [],
    );
  }

  /**
   * What the server was asked for and does not have: requests that this run counted as 404, frames that it refused, and
   * frames that name a job of a log that is no more. These it answers, with nothing.
   */
  async strangers(): Promise<string[]> {
    const metrics = await (await fetch(`http://127.0.0.1:${this.#daybook.port}/metrics`)).text();
    const requests = metrics.split("\n").filter((line) => line.includes('status="404"'));
    const frames = [...this.#streams]
      .filter(([name]) => name.startsWith("frame "))
      .flatMap(([, stream]) => stream.entries.filter(({ type, code }) => type === "error" && code === "job_not_found"));
    return [...requests, ...frames.map((frame) => JSON.stringify(frame)), ...this.#askedForGone];
  }

  #load(): Sync {
    const sync = new Sync({ url: `ws://127.0.0.1:${this.#proxy.port}/api/live`, ports: this.#ports() });
    sync.listen((event) => {
      if (event.type === "connection") this.#write("connection", event.connection as unknown as Fields);
      else this.#write(`emit ${"id" in event ? (event.id ?? "") : ""}`, this.#loose(event as unknown as Fields));
    });
    return sync;
  }

  #ports(): Partial<Ports> {
    const real = browserPorts();
    return {
      socket: (url, protocol, handlers) => {
        const socket = real.socket(url, protocol, {
          ...handlers,
          frame: (text) => {
            const frame = JSON.parse(text) as Fields;
            this.#write(`frame ${String(frame.id ?? "")}`, this.#loose(frame));
            handlers.frame(text);
          },
          closed: (code, reason) => {
            this.#write("closed", { code });
            handlers.closed(code, reason);
          },
        });
        return {
          send: (text) => {
            const frame = JSON.parse(text) as Fields;
            if ([...this.#gone].some((id) => text.includes(id))) this.#askedForGone.push(text);
            this.#write(`send ${String(frame.id ?? "")}`, this.#loose(frame));
            socket.send(text);
          },
          close: () => socket.close(),
        };
      },
      storage: { get: (key) => this.#storage.get(key) ?? null, set: (key, value) => void this.#storage.set(key, value) },
      fetch: (input, init) => this.#fetch(String(input), init ?? {}),
      page: {
        visible: () => true,
        online: () => true,
        listen: (hear) => {
          this.#hear = hear;
          return () => {};
        },
      },
    };
  }

  /** Answered by the server at once, handed on when the script says so: what a slow line would do. */
  async #fetch(name: string, init: RequestInit): Promise<Response> {
    const answer = await fetch(`http://127.0.0.1:${this.#daybook.port}/api/queues`);
    return new Promise((hand, fail) => {
      init.signal?.addEventListener("abort", () => fail(init.signal?.reason as Error));
      this.#held.set(name, () => hand(answer));
      this.#stirred();
    });
  }

  #write(stream: string, entry: Fields): void {
    this.#stream(stream).entries.push(entry);
    this.#stirred();
  }

  #stream(name: string): Stream {
    const stream = this.#streams.get(name) ?? { entries: [], next: 0 };
    this.#streams.set(name, stream);
    return stream;
  }

  /** Names of jobs become their ids, so that a script's filter and frames mean the jobs of this server. */
  #named(value: Json): Json {
    if (typeof value === "string") return this.#names.get(value) ?? value;
    if (Array.isArray(value)) return value.map((one) => this.#named(one as Json));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value as Fields).map(([name, one]) => [name, this.#named(one)]));
  }

  /** Of a frame or an event, what is the same in both worlds. */
  #loose(fields: Fields): Fields {
    const named = this.#named(fields) as Fields;
    const loose: Record<string, Json> = {};
    for (const name of KEPT) if (named[name] !== undefined) loose[name] = named[name];
    const pick = (list: Json | undefined, ...names: string[]): Json | undefined =>
      Array.isArray(list)
        ? list.map((one) => Object.fromEntries(names.flatMap((name) => ((one as Fields)[name] === undefined ? [] : [[name, (one as Fields)[name]]]))) as Json)
        : undefined;
    const rows = pick(named.rows ?? named.jobs, "id", "state");
    if (rows !== undefined) loose.rows = rows;
    const events = pick(named.events, "type", "job_id");
    if (events !== undefined) loose.events = events;
    const lines = pick(named.lines, "n");
    if (lines !== undefined) loose.lines = lines;
    if (named.filter !== undefined) loose.filter = named.filter;
    if (named.since !== undefined) loose.resumes = named.since !== null;
    return loose;
  }

  /** Where a call is to be looked for, and as what. */
  #sorted(call: Fields): [string | null, Fields] {
    if (call.send !== undefined) {
      const frame = call.send as Fields;
      return frame.type === "pong" ? [null, {}] : [`send ${String(frame.id ?? "")}`, this.#loose(frame)];
    }
    if (call.emit !== undefined) {
      const event = call.emit as Fields;
      // Scripts name the subscription only where there are several.
      return [`emit ${String(event.id ?? this.#onlyOne(event))}`, this.#loose(event)];
    }
    if (call.connection !== undefined) {
      return ["connection", { state: call.connection, ...(call.restarted === undefined ? {} : { restarted: call.restarted }) }];
    }
    if (call.answer !== undefined) return ["answers", call];
    return [null, {}];
  }

  #onlyOne(event: Fields): string {
    if (event.type === "epoch") return "";
    const [id] = this.#handles.keys();
    return id ?? "";
  }

  /** Looks for it after what was found before in the same stream; what lies between is passed over. */
  async #await(name: string, wanted: Fields): Promise<void> {
    const stream = this.#stream(name);
    const deadline = Date.now() + WAIT_MS;
    for (;;) {
      for (let at = stream.next; at < stream.entries.length; at++) {
        const entry = stream.entries[at];
        if (entry === undefined || !matches(wanted, entry)) continue;
        (entry as Record<string, Json>).seen = true;
        stream.next = at + 1;
        return;
      }
      if (Date.now() > deadline) {
        const came = stream.entries.slice(stream.next).map((entry) => JSON.stringify(entry));
        throw new Error(`${name}: waited in vain for ${JSON.stringify(wanted)}; after the last match came ${came.join(", ") || "nothing"}`);
      }
      await this.#stir(deadline - Date.now());
    }
  }

  #stir(ms: number): Promise<void> {
    return new Promise((stirred) => {
      const timer = setTimeout(stirred, Math.max(1, ms));
      this.#stirred = () => {
        clearTimeout(timer);
        stirred();
      };
    });
  }

  async #act(action: Action): Promise<void> {
    if ("start" in action) this.sync.start();
    else if ("stop" in action) this.sync.stop();
    else if ("retry" in action) this.sync.retry();
    else if ("subscribe" in action) {
      const wanted = this.#named(action.subscribe as unknown as Json) as unknown as typeof action.subscribe;
      this.#handles.set(wanted.id, this.sync.subscribe(wanted, () => {}));
    } else if ("update" in action) this.#handles.get(action.update.id)?.update(action.update.filter);
    else if ("unsubscribe" in action) {
      this.#handles.get(action.unsubscribe)?.close();
      this.#handles.delete(action.unsubscribe);
    } else if ("refresh" in action) {
      this.sync.stop();
      this.#handles.clear();
      this.sync = this.#load();
    } else if ("page" in action) this.#hear?.(action.page);
    else if ("request" in action) await this.#request(action.request);
    else if ("answered" in action) this.#held.get(action.answered.request)?.();
    else if ("cut" in action) this.#proxy.cut();
    else if ("close" in action) await this.#await("closed", { code: action.close.code });
    else if ("pass" in action) this.#proxy.mend();
    else if ("submit" in action) {
      const { as, ...job } = action.submit;
      const made = await this.#daybook.post("/api/jobs", { args: {}, ...job });
      this.#names.set(as, String(made.id));
    } else if ("cancel" in action) await this.#daybook.post(`/api/jobs/${String(this.#names.get(action.cancel))}/cancel`, {});
    else if ("kill" in action) await this.#daybook.kill();
    else if ("shutdown" in action) {
      this.#stopping = true;
      this.#daybook.shutdown();
    } else if ("restart" in action) await this.#restart(action.restart.reset);
    else if ("sleep" in action || "set_clock" in action || "old_socket" in action || "raw" in action) {
      throw new Error(`no server can do this: ${JSON.stringify(action)}; mark the step or the script as fake`);
    }
  }

  async #restart(reset: boolean): Promise<void> {
    // After a shutdown it is given its time; else it may still be there, where a script's page saw no kill.
    if (this.#stopping) await this.#daybook.ended();
    else await this.#daybook.kill();
    this.#stopping = false;
    this.#proxy.to(null);
    if (reset) for (const id of this.#names.values()) this.#gone.add(id);
    await this.#daybook.start(reset);
    this.#proxy.to(this.#daybook.port);
  }

  async #request(name: string): Promise<void> {
    this.sync.fetch(name).then(
      () => this.#write("answers", { answer: name, outcome: "handed on" }),
      (error: { code?: string }) => this.#write("answers", { answer: name, outcome: error.code ?? "failed" }),
    );
    const deadline = Date.now() + WAIT_MS;
    while (!this.#held.has(name) && Date.now() < deadline) await this.#stir(100);
  }
}
