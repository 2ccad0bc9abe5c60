// All that a test plays on: a server, the address before it, a browser, and what went wrong on its pages. One a file.

import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Daybook, type Setup } from "./daybook.ts";
import { Front } from "./front.ts";

/** Pictures to look at: DAYBOOK_SCREENSHOTS, or a folder among the temporary ones. */
const PICTURES = process.env.DAYBOOK_SCREENSHOTS ?? join(tmpdir(), "daybook-screenshots");
export const SIZES = { desk: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } } as const;

export interface Look {
  readonly theme?: "light" | "dark";
  readonly size?: keyof typeof SIZES;
}

export function browserPath(): string {
  const named = process.env.DAYBOOK_CHROMIUM;
  if (named !== undefined) return named;
  return execFileSync("which", ["chromium"], { encoding: "utf8" }).trim();
}

export class Stage {
  readonly daybook: Daybook;
  readonly front = new Front();
  #browser: Browser | null = null;
  #contexts: BrowserContext[] = [];
  /** Errors of the pages: a test that ends with one has failed. */
  readonly errors: string[] = [];

  constructor(setup: Setup) {
    this.daybook = new Daybook(setup);
  }

  async open(): Promise<void> {
    await this.daybook.start();
    await this.front.open();
    await this.front.to(this.daybook.port);
    this.#browser = await chromium.launch({ executablePath: browserPath(), args: ["--no-sandbox"] });
  }

  async close(): Promise<void> {
    await this.#browser?.close();
    await this.front.close();
    await this.daybook.remove();
  }

  /** A tab with storage of its own; tabs that share it come from `page.context().newPage()`. */
  async tab(look: Look = {}): Promise<Page> {
    if (this.#browser === null) throw new Error("the stage is not open");
    const { theme = "light", size = "desk" } = look;
    const context = await this.#browser.newContext({
      baseURL: this.front.url,
      viewport: SIZES[size],
      colorScheme: theme,
      deviceScaleFactor: size === "phone" ? 2 : 1,
      hasTouch: size === "phone",
    });
    this.#contexts.push(context);
    const page = await context.newPage();
    page.on("pageerror", (error) => this.errors.push(String(error)));
    page.on("console", (message) => {
      // A refused connection is part of the play when a server is killed; a refused script never is.
      if (message.type() === "error" && !/Failed to load resource|WebSocket connection/.test(message.text())) this.errors.push(message.text());
    });
    return page;
  }

  async clearTabs(): Promise<void> {
    for (const context of this.#contexts.splice(0)) {
      // What a test put in the way of requests may be at work still, and has nobody to answer any more.
      for (const page of context.pages()) await page.unrouteAll({ behavior: "ignoreErrors" });
      await context.close();
    }
  }

  /** kill -9, and a start on the same data. */
  async restart(...flags: readonly string[]): Promise<void> {
    await this.daybook.kill();
    await this.daybook.start(...flags);
    await this.front.to(this.daybook.port);
  }
}

/** Sets the stage for the tests of a file. */
export function stage(setup: Setup = {}): Stage {
  const made = new Stage(setup);
  beforeAll(() => made.open());
  afterEach(async () => {
    await made.clearTabs();
    expect(made.errors.splice(0)).toEqual([]);
  });
  afterAll(() => made.close());
  return made;
}

export async function picture(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

/** What axe finds against WCAG 2.1 AA, in short. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { axe: run } = globalThis as unknown as { axe: { run: (o: unknown) => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } };
    return (await run.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"] })).violations;
  });
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).slice(0, 3).join(" | ")}`);
}

export const pill = (page: Page) => page.locator("[data-connection]");
export const row = (page: Page, id: string) => page.locator(`[role=row][data-job-id="${id}"]`);

/** Waits until the row of a job shows a state. */
export async function seeState(page: Page, id: string, state: string): Promise<void> {
  await page.locator(`[role=row][data-job-id="${id}"][data-state="${state}"]`).waitFor();
}
