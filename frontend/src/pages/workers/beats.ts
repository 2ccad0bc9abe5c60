// When workers were last heard of. Beats alone are no news on the socket, so they are asked for now and then, with the
// server's own clock: that of this machine may be wrong.

import type { Api, Options } from "../../api/index.ts";
import type { Trouble, WorkerList } from "../../api/types.gen.ts";

/** Two in a row that did not come are worth a mark; after three the jobs of the worker go. */
const LATE_BEATS = 2.2;

export interface Beats {
  /** When this was heard, by the clock of this machine. */
  readonly heardAt: number;
  /** After so much silence a worker is late. */
  readonly lateS: number;
  /** For each session, how long it had been silent then. */
  readonly silentS: ReadonlyMap<string, number>;
  readonly restarting: readonly Trouble[];
}

export async function readBeats(api: Api, options: Options): Promise<Beats> {
  const answer = await api.raw("/api/workers?limit=500", { headers: { accept: "application/json" }, ...(options.signal === undefined ? {} : { signal: options.signal }) });
  // What the server promises in schemas/http.
  const body = (await answer.json()) as WorkerList;
  return beatsOf(body, answer.headers.get("date"), Date.now());
}

export function beatsOf(body: Pick<WorkerList, "workers" | "restarting" | "beat_s">, date: string | null, now: number): Beats {
  const told = date === null ? Number.NaN : Date.parse(date);
  const serverNow = Number.isNaN(told) ? now : told;
  const silentS = new Map(body.workers.map(({ session, last_beat_at }) => [session, Math.max(0, (serverNow - Date.parse(last_beat_at)) / 1000)]));
  return { heardAt: now, lateS: body.beat_s * LATE_BEATS, silentS, restarting: body.restarting };
}

export function isLate(beats: Beats | undefined, session: string, now: number): boolean {
  return beats !== undefined && (silenceOf(beats, session, now) ?? 0) > beats.lateS;
}

/** How long a worker has been silent by now; null: not known. */
export function silenceOf(beats: Beats | undefined, session: string, now: number): number | null {
  const then = beats?.silentS.get(session);
  if (beats === undefined || then === undefined) return null;
  return then + Math.max(0, now - beats.heardAt) / 1000;
}
