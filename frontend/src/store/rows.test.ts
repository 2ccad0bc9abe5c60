import { expect, test, vi } from "vitest";
import { Frame } from "./frame.ts";
import { RowStore } from "./rows.ts";
import { idOf, ManualFrames, rowOf } from "./tests-support.ts";

function make(): { frames: ManualFrames; rows: RowStore } {
  const frames = new ManualFrames();
  return { frames, rows: new RowStore(new Frame(frames)) };
}

test("the newest seq wins, in whatever order rows come", () => {
  const { rows } = make();
  rows.hold(rowOf(1, { seq: 5, state: "running" }));
  rows.put(rowOf(1, { seq: 3, state: "queued" }));
  expect(rows.get(idOf(1))?.state).toBe("running");
  rows.put(rowOf(1, { seq: 6, state: "completed" }));
  expect(rows.get(idOf(1))?.state).toBe("completed");
});

test("a row that nobody holds is not kept", () => {
  const { rows } = make();
  expect(rows.put(rowOf(1))).toBe(false);
  rows.hold(rowOf(1));
  rows.hold(rowOf(1));
  rows.release(idOf(1));
  expect(rows.size).toBe(1);
  rows.release(idOf(1));
  expect(rows.size).toBe(0);
});

test("however many changes come between two frames, a listener hears once", () => {
  const { frames, rows } = make();
  rows.hold(rowOf(1));
  rows.hold(rowOf(2));
  frames.turn();
  const one = vi.fn();
  const other = vi.fn();
  rows.listen(idOf(1), one);
  rows.listen(idOf(2), other);
  rows.put(rowOf(1, { seq: 7 }));
  rows.put(rowOf(1, { seq: 8 }));
  rows.progress(idOf(1), null);
  expect(one).not.toHaveBeenCalled();
  frames.turn();
  expect(one).toHaveBeenCalledTimes(1);
  expect(other).not.toHaveBeenCalled();
});

test("clearing tells those who show a row, and leaves none", () => {
  const { frames, rows } = make();
  rows.hold(rowOf(1));
  frames.turn();
  const hear = vi.fn();
  rows.listen(idOf(1), hear);
  rows.clear();
  frames.turn();
  expect(hear).toHaveBeenCalledTimes(1);
  expect(rows.get(idOf(1))).toBeUndefined();
});
