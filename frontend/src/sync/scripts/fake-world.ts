// A world of our own for the engine: a clock that we turn, a socket that we hold both ends of, a page that we show and
// hide. Every call that the engine makes is written down.

import type { Ports, SocketHandlers } from "../ports.ts";
import { EPOCH_KEY, Sync, type SubscriptionHandle } from "../engine.ts";
import type { PageSignal } from "../state.ts";
import type { Action, Fields, Json, Script, Step } from "./vocabulary.ts";

interface Timer {
  readonly due: number;
  readonly run: () => void;
}

interface OpenRequest {
  readonly answer: (response: Response) => void;
}

export class FakeWorld {
  readonly calls: Fields[] = [];
  readonly failures: unknown[] = [];
  sync: Sync;
  readonly #storage = new Map<string, string>();
  readonly #timers = new Set<Timer>();
  readonly #random: number;
  readonly #token: string | null;
  readonly #handles = new Map<string, SubscriptionHandle>();
  readonly #requests = new Map<string, OpenRequest>();
  readonly #sockets: SocketHandlers[] = [];
  /** The clock on the wall, and the one that timers go by, which stands still while the machine sleeps. */
  #wall = 1_000_000;
  #awake = 0;
  #hear: ((signal: PageSignal) => void) | null = null;
  #visible: boolean;
  #online: boolean;

  constructor(begin: Script["begin"] = {}) {
    if (begin.saved !== undefined) this.#storage.set(EPOCH_KEY, begin.saved);
    this.#random = begin.random ?? 0.5;
    this.#token = begin.token ?? null;
    this.#visible = begin.visible ?? true;
    this.#online = begin.online ?? true;
    this.sync = this.#load();
  }

  /** Does what a step says; the calls that came of it are in `calls`. */
  async play(step: Step): Promise<void> {
    this.calls.length = 0;
    if (step.do !== undefined) this.#act(step.do);
    for (const frame of step.frames ?? []) this.#sockets.at(-1)?.frame(JSON.stringify(frame));
    // Requests answer through promises, a handful of turns deep.
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  }

  #load(): Sync {
    const sync = new Sync({ url: "ws://daybook.test/api/live", token: this.#token, ports: this.#ports() });
    sync.listen((event) => {
      if (event.type === "connection") {
        const { state, ...rest } = event.connection;
        // A wait is easier to read than a moment.
        const wait = "retryAt" in rest && rest.retryAt !== null ? { wait: rest.retryAt - this.#wall } : {};
        this.#say({ connection: state, ...(rest as Fields), ...wait });
      } else this.#say({ emit: event as unknown as Json });
    });
    return sync;
  }

  #say(call: Fields): void {
    this.calls.push(call);
  }

  #ports(): Ports {
    return {
      clock: {
        now: () => this.#wall,
        after: (inMs, run) => {
          const timer = { due: this.#awake + inMs, run };
          this.#timers.add(timer);
          return () => this.#timers.delete(timer);
        },
      },
      random: () => this.#random,
      socket: (_url, _protocol, handlers) => {
        this.#sockets.push(handlers);
        this.#say({ open: true });
        return {
          send: (text) => this.#say({ send: JSON.parse(text) as Json }),
          close: () => this.#say({ close: true }),
        };
      },
      storage: {
        get: (key) => this.#storage.get(key) ?? null,
        set: (key, value) => {
          this.#storage.set(key, value);
          this.#say({ save: { [key]: value } });
        },
      },
      fetch: (_input, init) =>
        new Promise((answer, fail) => {
          init?.signal?.addEventListener("abort", () => fail(init.signal?.reason as Error));
          this.#requests.set(String(_input), { answer });
        }),
      page: {
        visible: () => this.#visible,
        online: () => this.#online,
        listen: (hear) => {
          this.#hear = hear;
          return () => {
            this.#hear = null;
          };
        },
      },
      failed: (error) => this.failures.push(error),
    };
  }

  #act(action: Action): void {
    if ("start" in action) this.sync.start();
    else if ("stop" in action) this.sync.stop();
    else if ("retry" in action) this.sync.retry();
    else if ("subscribe" in action) {
      const { id } = action.subscribe;
      this.#handles.set(id, this.sync.subscribe(action.subscribe, () => {}));
    } else if ("update" in action) this.#handles.get(action.update.id)?.update(action.update.filter);
    else if ("unsubscribe" in action) this.#handles.get(action.unsubscribe)?.close();
    else if ("refresh" in action) this.#refresh();
    else if ("page" in action) this.#page(action.page);
    else if ("request" in action) this.#request(action.request);
    else if ("answered" in action) {
      const { request, epoch } = action.answered;
      const headers = epoch === null ? {} : { "Daybook-Epoch": epoch };
      this.#requests.get(request)?.answer(new Response("{}", { headers }));
    } else if ("open" in action) this.#sockets.at(-1)?.opened();
    else if ("cut" in action || "kill" in action) this.#sockets.at(-1)?.closed(1006, "");
    else if ("close" in action) this.#sockets.at(-1)?.closed(action.close.code, action.close.reason ?? "");
    else if ("pass" in action) this.#pass(action.pass);
    else if ("sleep" in action) this.#wall += action.sleep;
    else if ("set_clock" in action) this.#wall += action.set_clock;
    else if ("old_socket" in action) this.#sockets.at(-2)?.frame(JSON.stringify(action.old_socket));
    else if ("raw" in action) this.#sockets.at(-1)?.frame(action.raw);
    // The others are the server's doing: the frames of the step tell what it says about them.
  }

  #pass(ms: number): void {
    const end = this.#awake + ms;
    for (;;) {
      const next = [...this.#timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due)[0];
      if (next === undefined) break;
      this.#timers.delete(next);
      this.#wall += next.due - this.#awake;
      this.#awake = next.due;
      next.run();
    }
    this.#wall += end - this.#awake;
    this.#awake = end;
  }

  #page(signal: PageSignal): void {
    if (signal === "visible" || signal === "hidden") this.#visible = signal === "visible";
    if (signal === "online" || signal === "offline") this.#online = signal === "online";
    this.#hear?.(signal);
  }

  #refresh(): void {
    // The browser ends everything of the old page without a word to it.
    this.#timers.clear();
    this.#handles.clear();
    this.#hear = null;
    this.sync = this.#load();
  }

  #request(name: string): void {
    this.sync.fetch(name).then(
      () => this.#say({ answer: name, outcome: "handed on" }),
      (error: { code?: string }) => this.#say({ answer: name, outcome: error.code ?? "failed" }),
    );
  }
}
