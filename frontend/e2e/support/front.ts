// What the browser talks to: one address that stays over restarts of the server behind it. It hands on everything, the
// socket as well; a server that has no dashboard in it yet is helped out with dist/, under the policy that it will have.

import { existsSync, readFileSync } from "node:fs";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../../dist", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'self'",
].join("; ");

export class Front {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #embedded = false;
  #cut = false;

  constructor() {
    this.#server = createServer((asked, answer) => this.#answer(asked, answer));
    this.#server.on("upgrade", (asked: IncomingMessage, socket: Socket, head: Buffer) => this.#upgrade(asked, socket, head));
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      if (this.#cut) socket.destroy();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async open(): Promise<void> {
    await new Promise<void>((done) => this.#server.listen(0, "127.0.0.1", done));
  }

  /** The server to hand on to from now. */
  async to(port: number): Promise<void> {
    this.#port = port;
    const answer = await fetch(`http://127.0.0.1:${port}/`, { headers: { accept: "text/html" } });
    this.#embedded = answer.ok && (await answer.text()).includes('id="root"');
    if (!this.#embedded && !existsSync(join(DIST, "index.html"))) throw new Error("no dashboard: npm run build");
  }

  /** The line is dead until `mend`. */
  cut(): void {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#cut = false;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((done) => this.#server.close(done));
  }

  #answer(asked: IncomingMessage, answer: ServerResponse): void {
    const path = new URL(asked.url ?? "/", "http://front").pathname;
    if (this.#embedded || /^\/(api\/|health|metrics)/.test(path)) return this.#handOn(asked, answer);
    const file = join(DIST, path);
    const found = file.startsWith(DIST) && extname(file) !== "" && existsSync(file) ? file : join(DIST, "index.html");
    answer.writeHead(200, { "content-type": TYPES[extname(found)] ?? "application/octet-stream", "content-security-policy": POLICY });
    answer.end(readFileSync(found));
  }

  #headers(asked: IncomingMessage): Record<string, string | string[] | undefined> {
    const target = `127.0.0.1:${this.#port}`;
    // The server accepts no foreign origin, and to it this address is one.
    const origin = asked.headers.origin === undefined ? {} : { origin: `http://${target}` };
    return { ...asked.headers, ...origin, host: target };
  }

  #handOn(asked: IncomingMessage, answer: ServerResponse): void {
    const onward = request(
      { host: "127.0.0.1", port: this.#port, path: asked.url ?? "/", method: asked.method ?? "GET", headers: this.#headers(asked) },
      (from) => {
        answer.writeHead(from.statusCode ?? 502, from.headers);
        from.pipe(answer);
      },
    );
    onward.on("error", () => answer.destroy());
    answer.on("close", () => onward.destroy());
    asked.pipe(onward);
  }

  #upgrade(asked: IncomingMessage, socket: Socket, head: Buffer): void {
    const onward = connect(this.#port, "127.0.0.1", () => {
      const headers = Object.entries(this.#headers(asked)).map(([name, value]) => `${name}: ${String(value)}\r\n`);
      onward.write(`${asked.method} ${asked.url} HTTP/1.1\r\n${headers.join("")}\r\n`);
      onward.write(head);
      onward.pipe(socket);
      socket.pipe(onward);
    });
    onward.on("error", () => socket.destroy());
    onward.on("close", () => socket.destroy());
    socket.on("close", () => onward.destroy());
  }
}
