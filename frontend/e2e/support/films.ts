// The smallest video and sound that a browser plays, made on the spot: a film by the browser itself, a tone by hand.

import type { Page } from "playwright-core";

/** Some frames of moving colour, as webm. */
export async function filmOf(page: Page, width: number, height: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await page.evaluate(
    async ([wide, high]) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: wide, height: high });
      const pen = canvas.getContext("2d");
      if (pen === null) throw new Error("no canvas");
      const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: "video/webm;codecs=vp8" });
      const parts: Blob[] = [];
      recorder.ondataavailable = ({ data }) => parts.push(data);
      const stopped = new Promise((done) => (recorder.onstop = done));
      recorder.start();
      for (let frame = 0; frame < 20; frame++) {
        pen.fillStyle = `hsl(${frame * 18} 80% 50%)`;
        pen.fillRect(0, 0, canvas.width, canvas.height);
        await new Promise((done) => requestAnimationFrame(done));
      }
      recorder.stop();
      await stopped;
      return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
    },
    [width, height] as const,
  );
  return Uint8Array.from(bytes);
}

const RATE = 8_000;

/** A tone of 440 Hz, as wav: one channel of 8 bits. */
export function toneOf(seconds: number): Uint8Array<ArrayBuffer> {
  const samples = Math.round(RATE * seconds);
  const bytes = new Uint8Array(44 + samples);
  const view = new DataView(bytes.buffer);
  const word = (at: number, text: string): void => bytes.set(new TextEncoder().encode(text), at);
  word(0, "RIFF");
  view.setUint32(4, 36 + samples, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 1], [34, 8]] as const) view.setUint16(at, value, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE, true);
  word(36, "data");
  view.setUint32(40, samples, true);
  for (let at = 0; at < samples; at++) bytes[44 + at] = 128 + Math.round(100 * Math.sin((2 * Math.PI * 440 * at) / RATE));
  return bytes;
}
