// @vitest-environment happy-dom
import { beforeEach, expect, test, vi } from "vitest";
import { Shortcuts } from "./shortcuts.ts";

const press = (shortcuts: Shortcuts, key: string, target: EventTarget = document.body, init: KeyboardEventInit = {}): boolean => {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, ...init });
  Object.defineProperty(event, "target", { value: target });
  return shortcuts.handle(event);
};

beforeEach(() => {
  document.body.replaceChildren();
  localStorage.clear();
});

test("a key does what it is registered for, until it is taken back", () => {
  const shortcuts = new Shortcuts();
  const run = vi.fn();
  const end = shortcuts.register({ keys: "x", label: "Select", group: "Jobs", run });
  expect(press(shortcuts, "x")).toBe(true);
  end();
  expect(press(shortcuts, "x")).toBe(false);
  expect(run).toHaveBeenCalledTimes(1);
});

test("two keys in a row are one shortcut", () => {
  const shortcuts = new Shortcuts();
  const run = vi.fn();
  shortcuts.register({ keys: "g j", label: "Jobs", group: "Go to", run });
  press(shortcuts, "j");
  expect(run).not.toHaveBeenCalled();
  press(shortcuts, "g");
  press(shortcuts, "j");
  expect(run).toHaveBeenCalledTimes(1);
});

test("a page's key goes before the shell's", () => {
  const shortcuts = new Shortcuts();
  const shell = vi.fn();
  const page = vi.fn();
  shortcuts.register({ keys: "/", label: "Search", group: "Everywhere", run: shell });
  shortcuts.register({ keys: "/", label: "Search", group: "Jobs", run: page });
  press(shortcuts, "/");
  expect([shell.mock.calls.length, page.mock.calls.length]).toEqual([0, 1]);
});

test("keys are off while one types, while a dialog is open, with a modifier, and when switched off", () => {
  const shortcuts = new Shortcuts();
  const run = vi.fn();
  shortcuts.register({ keys: "c", label: "Cancel", group: "Jobs", run });
  const input = document.body.appendChild(document.createElement("input"));
  press(shortcuts, "c", input);
  press(shortcuts, "c", document.body, { ctrlKey: true });
  const dialog = document.body.appendChild(document.createElement("dialog"));
  dialog.setAttribute("open", "");
  press(shortcuts, "c");
  dialog.remove();
  shortcuts.switch(false);
  press(shortcuts, "c");
  expect(run).not.toHaveBeenCalled();
  shortcuts.switch(true);
  press(shortcuts, "c");
  expect(run).toHaveBeenCalledTimes(1);
});
