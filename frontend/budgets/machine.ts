// Says on which machine, and with what, the numbers below were measured, and how busy it was with other things.

import { execFileSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";
import { browserPath } from "../e2e/support/stage.ts";

const version = (binary: string): string => execFileSync(binary, ["--version"], { encoding: "utf8" }).trim().split("\n")[0] ?? "";
const load = (): string => `load ${loadavg().map((one) => one.toFixed(1)).join(" ")}`;

export default function setup(): () => void {
  const binary = process.env.DAYBOOK_BIN;
  if (binary === undefined) throw new Error("DAYBOOK_BIN names the server to measure: a release build with the dashboard in it");
  const [first] = cpus();
  console.log(`\nmachine  ${cpus().length} × ${first?.model.trim()}, ${(totalmem() / 1e9).toFixed(0)} GB, ${process.platform}, Node ${process.version}`);
  console.log(`browser  ${version(browserPath())}, headless, drawn by the processor`);
  console.log(`server   ${version(binary)}, on this machine, over loopback`);
  console.log(`before   ${load()}${(loadavg()[0] ?? 0) > 0.5 ? ": this machine is busy with other things, and times below are upper bounds" : ""}\n`);
  return () => console.log(`after    ${load()}`);
}
