// What a script may say. A script is a list of steps; a step does something, lets the server speak, and names every
// call that must come out of the engine, in order. One vocabulary for two worlds: in the fake one the frames are
// handed in, at a real server the same frames are waited for.

import { readdirSync, readFileSync } from "node:fs";
import type { Filter, Position, Topic } from "../protocol.ts";
import type { PageSignal } from "../state.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
export type Fields = { readonly [name: string]: Json };

/** One key each. What the other world must do instead is said at each. */
export type Action =
  | { readonly start: true }
  | { readonly stop: true }
  | { readonly retry: true }
  | { readonly subscribe: { readonly id: string; readonly topic: Topic; readonly filter?: Filter; readonly since?: Position | null } }
  | { readonly update: { readonly id: string; readonly filter: Filter } }
  | { readonly unsubscribe: string }
  /** The page is loaded again: memory is gone, session storage is not. */
  | { readonly refresh: true }
  | { readonly page: PageSignal }
  /** A guarded request under a name. Real: sent, its answer held back until `answered`. */
  | { readonly request: string }
  /** Its answer arrives, naming this epoch (null: none). Real: the answer that came is handed on, whatever it names. */
  | { readonly answered: { readonly request: string; readonly epoch: string | null } }
  /** The socket opens. Real: nothing, it does so by itself. */
  | { readonly open: true }
  /** The line breaks. Real: a proxy between the two drops the connection. */
  | { readonly cut: true }
  /** The server closes with a code. Fake only. */
  | { readonly close: { readonly code: number; readonly reason?: string } }
  /** Time passes and timers run. Real: nothing, time passes by itself. */
  | { readonly pass: number }
  /** The machine sleeps: time passes, timers stand still. Fake only. */
  | { readonly sleep: number }
  /** The clock on the wall is set. Fake only. */
  | { readonly set_clock: number }
  /** Something is said on the socket before this one. Fake only. */
  | { readonly old_socket: Fields }
  /** Text that is no frame. Fake only. */
  | { readonly raw: string }
  /** A job is submitted, under a name that stands for its id. Fake: nothing, the frames tell. */
  | { readonly submit: { readonly as: string; readonly kind: string; readonly queue?: string; readonly args?: Fields } }
  /** Fake: nothing. */
  | { readonly cancel: string }
  /** kill -9. Fake: the socket is closed with 1006. */
  | { readonly kill: true }
  /** SIGTERM. Fake: nothing, frames and close are steps of their own. */
  | { readonly shutdown: true }
  /** The server is started again on its data, with `--reset-on-startup` if `reset`. Fake: nothing. */
  | { readonly restart: { readonly reset: boolean } };

export interface Step {
  /** Why this step is there, for who reads a failure. */
  readonly say?: string;
  /** No server can be brought to this: the step is left out there. */
  readonly fake?: true;
  readonly do?: Action;
  readonly frames?: readonly Fields[];
  /** Every call out of the engine, in order. Left out: none. */
  readonly out?: readonly Fields[];
}

export interface Script {
  readonly name: string;
  /** Which of the README's rules it holds the engine to. */
  readonly rules: readonly number[];
  /** It can be played at a real server too. */
  readonly server?: boolean;
  /** The script that is played first. */
  readonly after?: string;
  readonly begin?: {
    readonly saved?: string;
    readonly token?: string;
    readonly visible?: boolean;
    readonly online?: boolean;
    /** The random number of every turn. */
    readonly random?: number;
  };
  readonly steps: readonly Step[];
}

const FOLDER = new URL(".", import.meta.url);

export function loadScripts(): Map<string, Script> {
  const names = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
  return new Map(
    names.sort().map((name) => [name.replace(/\.json$/, ""), JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")) as Script]),
  );
}

/** With the steps of those that go before. The first script of the chain says how the world begins. */
export function whole(scripts: ReadonlyMap<string, Script>, name: string): Script {
  const script = scripts.get(name);
  if (script === undefined) throw new Error(`there is no script ${name}`);
  if (script.after === undefined) return script;
  const before = whole(scripts, script.after);
  const begin = { ...before.begin, ...script.begin };
  return { ...script, begin, steps: [...before.steps, ...script.steps] };
}

/** Whether `seen` has all that `wanted` names; lists must be of the same length. `[least, most]` under `wait` is a range. */
export function matches(wanted: Json, seen: Json): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(seen) && wanted.length === seen.length && wanted.every((one, i) => matches(one, seen[i] ?? null));
  }
  if (wanted === null || typeof wanted !== "object") return wanted === seen;
  if (seen === null || typeof seen !== "object" || Array.isArray(seen)) return false;
  const fields = seen as Fields;
  return Object.entries(wanted as Fields).every(([name, value]) => {
    const there = fields[name];
    if (there === undefined) return false;
    if (name === "wait" && Array.isArray(value) && typeof there === "number") {
      return there >= (value[0] as number) && there <= (value[1] as number);
    }
    return matches(value, there);
  });
}
