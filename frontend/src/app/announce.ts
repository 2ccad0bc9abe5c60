// Words for assistive technology, not more often than one can listen to: the latest, at most once in five seconds.

import { useEffect, useRef, useState } from "react";

const EVERY_MS = 5_000;
/** A word that lasts no longer than this was none worth saying. */
const SETTLED_MS = 700;

/** What is said by now. The first word is not: it is what one expects. */
export function useAnnounced(word: string): string {
  const [said, setSaid] = useState("");
  const last = useRef({ word, at: -EVERY_MS });
  useEffect(() => {
    if (word === last.current.word) return;
    const wait = Math.max(SETTLED_MS, last.current.at + EVERY_MS - performance.now());
    const timer = setTimeout(() => {
      last.current = { word, at: performance.now() };
      setSaid(word);
    }, wait);
    return () => clearTimeout(timer);
  }, [word]);
  return said;
}
