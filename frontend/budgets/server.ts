// The server that is measured: how it is filled, where the browser finds it, and how it comes back at the same address.

import { call } from "../e2e/support/worker.ts";
import type { Daybook } from "../e2e/support/daybook.ts";
import type { Stage } from "../e2e/support/stage.ts";

const BULK = 1_000;
const AT_ONCE = 4;
/** One in so many is cancelled, so that lists have more than one state. */
const CANCELLED_IN = 5;

interface Acted {
  readonly changed: readonly string[];
  readonly more: boolean;
}

function jobAt(n: number): Record<string, unknown> {
  const tags = [`tag-${n % 50}`, ...(n % CANCELLED_IN === 0 ? ["unwanted"] : [])];
  return { kind: `kind-${n % 7}`, queue: `queue-${n % 3}`, tags, args: { n, prompt: "a lighthouse in the evening, seen from the sea", steps: 8 } };
}

/** So many jobs, by bulk; a fifth of them cancelled. How long the submits took. */
export async function fill(daybook: Daybook, count: number, cancelled = true): Promise<number> {
  const began = performance.now();
  let next = 0;
  const one = async (): Promise<void> => {
    for (let from = next; from < count; from = next) {
      next += BULK;
      const jobs = Array.from({ length: Math.min(BULK, count - from) }, (_, at) => jobAt(from + at));
      await call(daybook, "POST", "/api/jobs/bulk", { jobs });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  const took = performance.now() - began;
  if (cancelled) {
    const filter = { tag: "unwanted", state: ["queued"] };
    for (let more = true; more; ) ({ more } = await call<Acted>(daybook, "POST", "/api/jobs/actions", { action: "cancel", filter, dry_run: false }));
  }
  return took;
}

export async function hasDashboard({ daybook }: Stage): Promise<boolean> {
  const answer = await fetch(`${daybook.url}/`, { headers: { accept: "text/html" } });
  return (await answer.text()).includes('id="root"');
}

/** Where the browser goes: to the server itself, or, if it has no dashboard in it, to dist/ before it. */
export async function addressOf(play: Stage): Promise<string> {
  return (await hasDashboard(play)) ? play.daybook.url : play.front.url;
}

/** kill -9, and a start at the same address so much later. How long the start took, from the process to the first healthy
 *  answer. */
export async function killAndStart(play: Stage, awayMs: number): Promise<number> {
  const { port } = play.daybook;
  await play.daybook.kill();
  await new Promise((later) => setTimeout(later, awayMs));
  const began = performance.now();
  await play.daybook.start("--listen", `127.0.0.1:${port}`);
  const took = performance.now() - began;
  await play.front.to(port);
  return took;
}
