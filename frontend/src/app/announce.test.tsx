// @vitest-environment happy-dom
import { act, cleanup, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useAnnounced } from "./announce.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});
const pass = (ms: number): void => act(() => void vi.advanceTimersByTime(ms));

test("the first word is not said, later ones when they have settled", () => {
  const { result, rerender } = renderHook(({ word }) => useAnnounced(word), { initialProps: { word: "Live" } });
  pass(10_000);
  expect(result.current).toBe("");
  rerender({ word: "Offline" });
  pass(700);
  expect(result.current).toBe("Offline");
});

test("at most one in five seconds, and then the latest", () => {
  const { result, rerender } = renderHook(({ word }) => useAnnounced(word), { initialProps: { word: "Live" } });
  rerender({ word: "Offline" });
  pass(700);
  rerender({ word: "Catching up" });
  pass(1_000);
  rerender({ word: "Restarted" });
  pass(3_900);
  expect(result.current).toBe("Offline");
  pass(100);
  expect(result.current).toBe("Restarted");
});

test("a word that comes back before it was missed is not said again", () => {
  const { result, rerender } = renderHook(({ word }) => useAnnounced(word), { initialProps: { word: "Live" } });
  rerender({ word: "Catching up" });
  pass(300);
  rerender({ word: "Live" });
  pass(10_000);
  expect(result.current).toBe("");
});
