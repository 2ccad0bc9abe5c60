// The page's socket and its requests lead to a worker that answers as a server would, so that what the server costs does
// not stand in the page's way. Frames come as texts, as from a socket.

import type { ToPage, ToServer } from "./words.ts";

const worker = new Worker(new URL("./server.ts", import.meta.url), { type: "module" });
const tell = (words: ToServer): void => worker.postMessage(words);
const asked = new Map<number, (answer: Response) => void>();
let socket: StandInSocket | null = null;
let requests = 0;

class StandInSocket extends EventTarget {
  static readonly OPEN = 1;
  readyState = 0;

  constructor() {
    super();
    socket = this;
    queueMicrotask(() => {
      this.readyState = StandInSocket.OPEN;
      this.dispatchEvent(new Event("open"));
      tell({ type: "open" });
    });
  }

  send(text: string): void {
    tell({ type: "frame", text });
  }

  close(): void {
    this.readyState = 3;
  }
}

worker.addEventListener("message", ({ data }: MessageEvent<ToPage>) => {
  if (data.type === "frame") socket?.dispatchEvent(new MessageEvent("message", { data: data.text }));
  else {
    const headers = { "content-type": "application/json", "daybook-epoch": data.epoch };
    asked.get(data.id)?.(new Response(data.body, { status: data.status, headers }));
    asked.delete(data.id);
  }
});

Object.assign(globalThis, {
  WebSocket: StandInSocket,
  fetch: (input: string) =>
    new Promise<Response>((answered) => {
      requests += 1;
      asked.set(requests, answered);
      tell({ type: "ask", id: requests, path: input });
    }),
});

/** How much happens on the server from now on, and near which row. */
export const pace = (perSecond: number, commit: number): void => tell({ type: "pace", perSecond, commit });
export const lookAt = (number: number): void => tell({ type: "look", number });
