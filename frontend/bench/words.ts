// What the page and the worker that stands in for the server say to one another.

export type ToServer =
  | { readonly type: "open" }
  | { readonly type: "frame"; readonly text: string }
  | { readonly type: "ask"; readonly id: number; readonly path: string }
  | { readonly type: "pace"; readonly perSecond: number; readonly commit: number }
  | { readonly type: "look"; readonly number: number };

export type ToPage =
  | { readonly type: "frame"; readonly text: string }
  | { readonly type: "answer"; readonly id: number; readonly status: number; readonly epoch: string; readonly body: string };

export const ROWS = 100_000;
