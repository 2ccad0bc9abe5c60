// A job of a kind of its own, and the worker that has it: tests do not take each other's.

import type { Daybook } from "./daybook.ts";
import { submit, Worker, type Lease } from "./worker.ts";

export interface Begun {
  readonly id: string;
  readonly lease: Lease;
  readonly worker: Worker;
  readonly kind: string;
}

let kinds = 0;

export async function begin(daybook: Daybook, body: Readonly<Record<string, unknown>> = {}): Promise<Begun> {
  const kind = `kind-${++kinds}`;
  const worker = await Worker.join(daybook, `worker of ${kind}`, 10, [kind]);
  const { id } = await submit(daybook, { kind, ...body });
  const lease = await worker.take();
  return { id, lease, worker, kind };
}
