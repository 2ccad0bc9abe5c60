// A real server in a directory of its own: started, killed, and started again on the same data.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const START_MS = 20_000;

export interface Setup {
  /** More of daybook.toml: kinds, queues, schedules. */
  readonly config?: string;
  /** Files beside it, by name: schemas, scripts of workers. */
  readonly files?: Readonly<Record<string, string>>;
}

export class Daybook {
  readonly folder = mkdtempSync(join(tmpdir(), "daybook-e2e-"));
  readonly #binary: string;
  #process: ChildProcess | null = null;
  #said = "";
  port = 0;

  constructor(setup: Setup = {}) {
    const binary = process.env.DAYBOOK_BIN;
    if (binary === undefined) throw new Error("DAYBOOK_BIN names the server to test with");
    this.#binary = binary;
    writeFileSync(join(this.folder, "daybook.toml"), `listen = "127.0.0.1:0"\ndata = "./data"\n${setup.config ?? ""}`);
    for (const [name, text] of Object.entries(setup.files ?? {})) writeFileSync(join(this.folder, name), text);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What the server said on stderr, the last of it. */
  get said(): string {
    return this.#said;
  }

  async start(...flags: readonly string[]): Promise<void> {
    const child = spawn(this.#binary, ["serve", "--config", "daybook.toml", ...flags], {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    child.stderr.on("data", (text: Buffer) => {
      this.#said = (this.#said + text.toString()).slice(-8000);
    });
    const address = await new Promise<string>((found, fail) => {
      const timer = setTimeout(() => fail(new Error(`no address within ${START_MS} ms: ${this.#said}`)), START_MS);
      createInterface({ input: child.stdout }).once("line", (line) => {
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
      const answer = await fetch(`${this.url}/health`);
      await answer.body?.cancel();
      if (answer.ok) return;
      if (Date.now() > deadline) throw new Error(`not ready within ${START_MS} ms: ${this.#said}`);
      await new Promise((later) => setTimeout(later, 20));
    }
  }

  /** SIGKILL: nothing is put in order. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async remove(): Promise<void> {
    await this.#end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((over) => child.once("exit", over));
    child.kill(signal);
    await ended;
  }
}
