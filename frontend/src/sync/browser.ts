// The ports of a browser. What is missing (a worker has no page, Node no session storage) is stood in for, so that the
// same engine runs there. The only file that names globals.

import type { Page, Ports, Socket, SocketHandlers, Storage } from "./ports.ts";
import type { PageSignal } from "./state.ts";

function openSocket(url: string, protocol: string, handlers: SocketHandlers): Socket {
  const socket = new WebSocket(url, protocol);
  socket.addEventListener("open", () => handlers.opened());
  socket.addEventListener("message", ({ data }) => {
    if (typeof data === "string") handlers.frame(data);
  });
  let ended = false;
  const end = (code: number, reason: string): void => {
    if (!ended) handlers.closed(code, reason);
    ended = true;
  };
  socket.addEventListener("close", ({ code, reason }) => end(code, reason));
  // A browser says `close` right after it, with 1006 as well; Node 20 leaves that out when the upgrade is refused.
  socket.addEventListener("error", () => end(1006, ""));
  return {
    send(text) {
      if (socket.readyState === WebSocket.OPEN) socket.send(text);
    },
    close: () => socket.close(1000),
  };
}

/** Storage that a privacy setting forbids throws at every touch: then this page's life must do. */
function sessionStorageOrMemory(): Storage {
  const memory = new Map<string, string>();
  return {
    get(key) {
      try {
        return globalThis.sessionStorage.getItem(key);
      } catch {
        return memory.get(key) ?? null;
      }
    },
    set(key, value) {
      try {
        globalThis.sessionStorage.setItem(key, value);
      } catch {
        memory.set(key, value);
      }
    },
  };
}

function listenTo(target: EventTarget, type: string, run: (event: Event) => void): () => void {
  target.addEventListener(type, run);
  return () => target.removeEventListener(type, run);
}

function browserPage(): Page {
  const page = typeof document === "undefined" ? null : document;
  return {
    visible: () => page === null || page.visibilityState === "visible",
    online: () => typeof navigator === "undefined" || navigator.onLine !== false,
    listen(hear: (signal: PageSignal) => void) {
      if (page === null) return () => {};
      const ends = [
        listenTo(page, "visibilitychange", () => hear(page.visibilityState === "visible" ? "visible" : "hidden")),
        listenTo(page, "resume", () => hear("resumed")),
        listenTo(window, "online", () => hear("online")),
        listenTo(window, "offline", () => hear("offline")),
        listenTo(window, "pageshow", (event) => {
          if ((event as PageTransitionEvent).persisted) hear("restored");
        }),
      ];
      return () => ends.forEach((end) => end());
    },
  };
}

export function browserPorts(): Ports {
  return {
    clock: {
      // Not performance.now(): on some systems it stands still while the machine sleeps.
      now: () => Date.now(),
      after(inMs, run) {
        const timer = setTimeout(run, inMs);
        return () => clearTimeout(timer);
      },
    },
    random: () => Math.random(),
    socket: openSocket,
    storage: sessionStorageOrMemory(),
    fetch: (input, init) => globalThis.fetch(input, init),
    page: browserPage(),
    failed(error) {
      // Out of our stack, so that the page's own handler of errors sees it.
      queueMicrotask(() => {
        throw error;
      });
    },
  };
}
