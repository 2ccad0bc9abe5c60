// A real server in a directory of its own: started, killed, stopped in order and started again on the same data.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** `talk` says three lines and stays until it is killed; every other kind is done by nobody. */
const CONFIG = `
listen = "127.0.0.1:0"
data = "./data"

[kinds.talk.run]
mode = "command"
command = ["sh", "-c", "echo one; echo two; echo three; exec sleep 600"]
grace_s = 0.1
`;
const START_MS = 20_000;
const STOP_MS = 20_000;

export class Daybook {
  readonly #binary: string;
  readonly #folder = mkdtempSync(join(tmpdir(), "daybook-sync-"));
  #process: ChildProcess | null = null;
  #said = "";
  port = 0;

  constructor(binary: string) {
    this.#binary = binary;
    writeFileSync(join(this.#folder, "daybook.toml"), CONFIG);
  }

  async start(reset: boolean): Promise<void> {
    const more = reset ? ["--reset-on-startup"] : [];
    const child = spawn(this.#binary, ["serve", "--config", "daybook.toml", ...more], {
      cwd: this.#folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    child.stderr.on("data", (text: Buffer) => {
      this.#said = (this.#said + text.toString()).slice(-4000);
    });
    const lines = createInterface({ input: child.stdout });
    const address = await new Promise<string>((found, fail) => {
      const timer = setTimeout(() => fail(new Error(`no address within ${START_MS} ms: ${this.#said}`)), START_MS);
      lines.once("line", (line) => {
        clearTimeout(timer);
        found(line);
      });
      child.once("error", fail);
      child.once("exit", (code) => fail(new Error(`the server ended with ${code}: ${this.#said}`)));
    });
    this.port = Number(new URL(address.replace("listening on ", "")).port);
    await this.#ready();
  }

  /** It listens before its log is read. */
  async #ready(): Promise<void> {
    const deadline = Date.now() + START_MS;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.port}/health`);
      await answer.body?.cancel();
      if (answer.ok) return;
      if (Date.now() > deadline) throw new Error(`not ready within ${START_MS} ms: ${this.#said}`);
      await new Promise((later) => setTimeout(later, 20));
    }
  }

  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** In order: the process is left to itself, since goodbyes take their time. */
  shutdown(): void {
    this.#process?.kill("SIGTERM");
  }

  async ended(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((ended, fail) => {
      const timer = setTimeout(() => fail(new Error(`the server runs on after ${STOP_MS} ms`)), STOP_MS);
      child.once("exit", () => {
        clearTimeout(timer);
        ended();
      });
    });
  }

  async remove(): Promise<void> {
    await this.#end("SIGTERM").catch(() => this.#end("SIGKILL"));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async post(path: string, body: unknown): Promise<Record<string, unknown>> {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const value = (await answer.json()) as Record<string, unknown>;
    if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${JSON.stringify(value)}`);
    return value;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const ended = this.ended();
    this.#process?.kill(signal);
    await ended;
  }
}
