// What a page asks for: its requests, and the frames that it sends. For tests of what must never be asked.

import type { Page } from "playwright-core";

export function record(page: Page): string[] {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(`${request.method()} ${request.url()} ${request.postData() ?? ""}`));
  page.on("websocket", (socket) => socket.on("framesent", ({ payload }) => asked.push(`frame ${String(payload)}`)));
  return asked;
}
