// The house rules of the dashboard, read from the sources as text: who imports whom, how long files and functions are,
// and that each file says what it is for.

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SRC = fileURLToPath(new URL(".", import.meta.url));
const FILE_LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;

/** What each room may import of the others; a page may also import from its own folder. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  sync: [],
  api: ["sync"],
  store: ["api", "sync"],
  hooks: ["store", "api", "sync"],
  ui: ["api"],
  form: ["api", "ui"],
  charts: ["api", "hooks", "ui"],
  travel: ["api", "hooks", "store", "ui", "charts", "app"],
  app: ["api", "hooks", "store", "sync", "ui", "travel", "charts", "pages"],
  pages: ["api", "hooks", "store", "sync", "ui", "form", "charts", "travel", "app"],
};
/** No React here: these rooms are tested without a page, and outlive the library. */
const PURE = [/^sync\//, /^store\//, /^api\//, /^form\/(schema|values)\.ts$/];
/** Of the shell a page needs its frame, the address and the keys; the rest of it is nobody's business. */
const APP_FOR_PAGES = ["app/page.tsx", "app/search.ts", "app/shortcuts.ts"];
/** Loaded with the pages that need it, and never with the shell. */
const LAZY = ["@tanstack/react-query", "@tanstack/react-virtual", "uplot", "@cfworker/json-schema"];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function sources(): Source[] {
  const paths = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((path) => /\.tsx?$/.test(path));
  return paths.map((path) => {
    const text = readFileSync(join(SRC, path), "utf8");
    const imports = [...text.matchAll(/^(?:import|export)[^"';]*?from "([^"]+)"|^import "([^"]+)"|import\("([^"]+)"\)/gms)];
    return { path, text, imports: imports.map((match) => match[1] ?? match[2] ?? match[3] ?? "") };
  });
}

const ALL = sources();
const isTest = (path: string): boolean => /\.test\.tsx?$|tests-support\.ts$|\/(tests|scripts|example)\//.test(path);
const isWritten = (path: string): boolean => !isTest(path) && !path.endsWith(".gen.ts");
const roomOf = (path: string): string => (path.includes("/") ? (path.split("/")[0] ?? "") : "");
const targetOf = (from: string, name: string): string => relative(SRC, resolve(SRC, dirname(from), name));

function faultOf(path: string, name: string): string | null {
  const room = roomOf(path);
  if (room === "") return null;
  if (!name.startsWith(".")) {
    const pure = PURE.some((rule) => rule.test(path));
    return pure && /^react|^@tanstack/.test(name) ? `${path}: ${name} does not belong into a room without React` : null;
  }
  const target = targetOf(path, name);
  const to = roomOf(target);
  const page = (one: string): string | undefined => one.split("/")[1];
  if (room === "pages" && to === "pages") return page(path) === page(target) ? null : `${path}: pages do not import each other (${target})`;
  if (room === "pages" && to === "app" && !APP_FOR_PAGES.includes(target)) return `${path}: a page needs of app only ${APP_FOR_PAGES.join(", ")}, not ${target}`;
  if (room === to) return null;
  return (ROOMS[room] ?? []).includes(to) ? null : `${path}: ${room} does not import ${to} (${target})`;
}

test("imports go inward only", () => {
  const written = ALL.filter(({ path }) => isWritten(path));
  expect(written.flatMap(({ path, imports }) => imports.map((name) => faultOf(path, name)).filter((fault) => fault !== null))).toEqual([]);
});

test("every room is named in the rules", () => {
  expect([...new Set(ALL.map(({ path }) => roomOf(path)))].filter((room) => room !== "" && !(room in ROOMS))).toEqual([]);
});

test("the shell loads no library that only pages need", () => {
  const entry = "main.tsx";
  const seen = new Set<string>();
  const found: string[] = [];
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const source = ALL.find((one) => one.path === path);
    for (const match of source?.text.matchAll(/^(?:import|export)(?! type)[^"';]*?from "([^"]+)"/gms) ?? []) {
      const name = match[1] ?? "";
      if (LAZY.includes(name)) found.push(`${path}: ${name}`);
      // What an index hands on and nobody takes is left out of the build.
      if (name.startsWith(".") && !name.endsWith("hooks/index.ts")) visit(targetOf(path, name));
    }
  };
  visit(entry);
  expect(found).toEqual([]);
});

test("a file begins with what it is for, and is short enough to be read", () => {
  const faults = ALL.filter(({ path }) => isWritten(path)).flatMap(({ path, text }) => {
    const lines = text.split("\n").length - 1;
    return [
      ...(/^(\/\/|\/\*)/.test(text) ? [] : [`${path}: begins without a comment on what it is for`]),
      ...(lines <= FILE_LINES_MAX ? [] : [`${path}: ${lines} lines`]),
    ];
  });
  expect(faults).toEqual([]);
});

test("functions are short", () => {
  const faults = ALL.filter(({ path }) => !path.endsWith(".gen.ts")).flatMap(({ path, text }) => {
    const lines = text.split("\n");
    return lines.flatMap((line, from) => {
      if (!/^(export )?(async )?function /.test(line)) return [];
      const length = lines.slice(from).findIndex((one) => one.startsWith("}")) + 1;
      return length <= FUNCTION_LINES_MAX ? [] : [`${path}:${from + 1}: ${length} lines`];
    });
  });
  expect(faults).toEqual([]);
});

test("nothing is waved through: no any, no switched-off check, no draft's words", () => {
  const bad = /\bas any\b|: any\b|<any>|@ts-ignore|@ts-expect-error|eslint-disable|\bTODO\b|\bFIXME\b|console\.log|dangerouslySetInnerHTML/;
  const faults = ALL.filter(({ path }) => isWritten(path)).flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, at) => (bad.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  );
  expect(faults).toEqual([]);
});
