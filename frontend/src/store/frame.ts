// One flush an animation frame for all stores: changes between two frames are told once.

export interface Frames {
  /** Calls `run` once, soon. */
  request(run: () => void): void;
}

/** A tab that nobody sees has no animation frames; it is told a few times a second, so that its title stays right. */
const UNSEEN_MS = 250;

export function browserFrames(): Frames {
  return {
    request(run) {
      let done = false;
      const once = (): void => {
        if (done) return;
        done = true;
        clearTimeout(timer);
        run();
      };
      const timer = setTimeout(once, UNSEEN_MS);
      requestAnimationFrame(once);
    },
  };
}

export class Frame {
  readonly #frames: Frames;
  readonly #due = new Set<() => void>();
  #asked = false;

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  /** `flush` is called in the next frame, once however often it was marked. */
  mark(flush: () => void): void {
    this.#due.add(flush);
    if (this.#asked) return;
    this.#asked = true;
    this.#frames.request(() => this.#flush());
  }

  #flush(): void {
    this.#asked = false;
    const due = [...this.#due];
    this.#due.clear();
    for (const flush of due) flush();
  }
}
