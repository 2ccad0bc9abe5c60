// The focus stays near where it was when what had it is taken away: a job that left the list, a chip that was cancelled,
// a button whose row went. Without this it falls to the top of the page, and whoever uses the keyboard begins anew.

const FOCUSABLE = "a[href], button:not([disabled]), input:not([disabled]), select:not([disabled]), textarea:not([disabled]), [tabindex]";

function focusables(node: Node): HTMLElement[] {
  if (!(node instanceof HTMLElement)) return [];
  return [...(node.matches(FOCUSABLE) ? [node] : []), ...node.querySelectorAll<HTMLElement>(FOCUSABLE)];
}

/** Beside it the one of the same rank, else what is around it. */
function* near({ target, nextSibling, previousSibling }: MutationRecord, removed: Node, had: HTMLElement): Generator<HTMLElement> {
  const rank = focusables(removed).indexOf(had);
  for (const beside of [nextSibling, previousSibling]) {
    const there = beside === null ? [] : focusables(beside);
    const one = there[rank] ?? there[0];
    if (one !== undefined) yield one;
  }
  for (let around = target instanceof Element ? target : null; around !== null; around = around.parentElement) {
    if (around instanceof HTMLElement && around.matches(FOCUSABLE)) yield around;
  }
}

/** Returns what ends it. */
export function startKeepFocus(root: HTMLElement = document.body): () => void {
  let had: HTMLElement | null = document.activeElement instanceof HTMLElement ? document.activeElement : null;
  const onFocus = ({ target }: FocusEvent): void => {
    had = target instanceof HTMLElement ? target : null;
  };
  const observer = new MutationObserver((records) => {
    const lost = had;
    if (lost === null || lost.isConnected || document.activeElement !== document.body) return;
    had = null;
    for (const record of records) {
      for (const removed of record.removedNodes) {
        if (!removed.contains(lost)) continue;
        for (const one of near(record, removed, lost)) {
          one.focus({ preventScroll: true });
          if (document.activeElement === one) return;
        }
      }
    }
  });
  root.addEventListener("focusin", onFocus);
  observer.observe(root, { childList: true, subtree: true });
  return () => {
    root.removeEventListener("focusin", onFocus);
    observer.disconnect();
  };
}
