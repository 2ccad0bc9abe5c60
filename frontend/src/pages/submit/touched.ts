// Which fields somebody was in. One that is left by pressing something else counts when that was let go: a word that came
// below it at once would push the button away from under the finger, and nothing would have been pressed.

import { useCallback, useEffect, useRef, useState } from "react";

export interface Touches {
  readonly touched: ReadonlySet<string>;
  /** Stays the same. */
  readonly touch: (pointer: string) => void;
}

export function useTouches(): Touches {
  const [touched, setTouched] = useState<ReadonlySet<string>>(new Set());
  const pressed = useRef(false);
  const waiting = useRef<string[]>([]);
  const add = useCallback((pointers: readonly string[]) => {
    setTouched((before) => (pointers.every((one) => before.has(one)) ? before : new Set([...before, ...pointers])));
  }, []);
  useEffect(() => {
    let later: ReturnType<typeof setTimeout> | undefined;
    const down = (): void => {
      pressed.current = true;
    };
    const up = (): void => {
      pressed.current = false;
      // The click comes right behind it.
      later = setTimeout(() => add(waiting.current.splice(0)));
    };
    const ends = ["pointerup", "pointercancel", "dragend"];
    window.addEventListener("pointerdown", down, true);
    for (const end of ends) window.addEventListener(end, up, true);
    return () => {
      clearTimeout(later);
      window.removeEventListener("pointerdown", down, true);
      for (const end of ends) window.removeEventListener(end, up, true);
    };
  }, [add]);
  const touch = useCallback((pointer: string) => (pressed.current ? void waiting.current.push(pointer) : add([pointer])), [add]);
  return { touched, touch };
}
