// Choosing and marking lines of a log. Pure, and quick enough for hundreds of thousands.

import type { KeptLine, LogStream } from "../../api/types.gen.ts";

export interface LineFilter {
  readonly text: string;
  readonly stream: LogStream | "all";
}

export function chosen(lines: readonly KeptLine[], { text, stream }: LineFilter, until: number): readonly KeptLine[] {
  if (text === "" && stream === "all" && until === Infinity) return lines;
  const sought = text.toLowerCase();
  return lines.filter((line) => line.n <= until && (stream === "all" || line.stream === stream) && (sought === "" || line.text.toLowerCase().includes(sought)));
}

/**
 * Goes on where the last choice ended when lines only came: a search over all of them at each frame would be felt.
 * `made` is the array of before, changed in place for that.
 */
export class Choice {
  #key = "";
  #source: readonly KeptLine[] = [];
  #seen = 0;
  #made: KeptLine[] = [];

  of(lines: readonly KeptLine[], filter: LineFilter, until: number): readonly KeptLine[] {
    const key = `${filter.stream} ${until} ${filter.text}`;
    if (key !== this.#key || lines !== this.#source) {
      this.#key = key;
      this.#source = lines;
      this.#made = [...chosen(lines, filter, until)];
    } else {
      for (const line of chosen(lines.slice(this.#seen), filter, until)) this.#made.push(line);
    }
    this.#seen = lines.length;
    return this.#made;
  }
}

export interface Part {
  readonly text: string;
  readonly found: boolean;
}

const PARTS_MAX = 40;

/** The text in parts, those found marked; the case does not matter. */
export function partsOf(text: string, sought: string): Part[] {
  const low = text.toLowerCase();
  const find = sought.toLowerCase();
  // In some languages the small letters have another length: then nothing is marked.
  if (find === "" || low.length !== text.length) return [{ text, found: false }];
  const parts: Part[] = [];
  let from = 0;
  for (let at = low.indexOf(find); at >= 0 && parts.length < PARTS_MAX; at = low.indexOf(find, from)) {
    if (at > from) parts.push({ text: text.slice(from, at), found: false });
    parts.push({ text: text.slice(at, at + find.length), found: true });
    from = at + find.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from), found: false });
  return parts;
}

export function fileOf(lines: readonly KeptLine[]): string {
  return lines.map(({ at, stream, text }) => `${at} ${stream} ${text}\n`).join("");
}

/** Colours and cursor movements for a terminal: the saved file has them, here they are noise. */
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g;

export function withoutEscapes(text: string): string {
  return text.includes("\u001b") ? text.replace(ESCAPES, "") : text;
}
