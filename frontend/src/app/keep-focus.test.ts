// @vitest-environment happy-dom
import { afterEach, beforeEach, expect, test } from "vitest";
import { startKeepFocus } from "./keep-focus.ts";

let end: () => void;
beforeEach(() => {
  document.body.innerHTML = `
    <main tabindex="-1">
      <ul><li id="a"><a href="#a">a</a><button>x</button></li><li id="b"><a href="#b">b</a><button>x</button></li><li id="c"><a href="#c">c</a></li></ul>
    </main>`;
  end = startKeepFocus();
});
afterEach(() => end());

const node = (selector: string): HTMLElement => document.querySelector<HTMLElement>(selector) as HTMLElement;
const remove = async (selector: string): Promise<void> => {
  node(selector).remove();
  await new Promise((done) => setTimeout(done));
};

test("the focus goes to the next one's control of the same rank, else to its first, else to the one before", async () => {
  node("#a button").focus();
  await remove("#a");
  expect(document.activeElement).toBe(node("#b button"));
  await remove("#b");
  expect(document.activeElement).toBe(node("#c a"));
  node("ul").insertAdjacentHTML("afterbegin", '<li id="d"><a href="#d">d</a></li>');
  await remove("#c");
  expect(document.activeElement).toBe(node("#d a"));
});

test("where nothing is beside, what is around has it", async () => {
  node("#a a").focus();
  await remove("ul");
  expect(document.activeElement).toBe(node("main"));
});

test("a focus that is elsewhere by now stays there", async () => {
  node("#a a").focus();
  node("#b a").focus();
  await remove("#a");
  expect(document.activeElement).toBe(node("#b a"));
});
