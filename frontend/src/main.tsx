// The composition root: makes all there is one of, ties it together, and nothing else.

import "./app/style.css";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Api } from "./api/index.ts";
import { makeRouter } from "./app/router.tsx";
import { startShortcuts } from "./app/shortcuts.ts";
import { startTheme } from "./app/theme.ts";
import { WorldProvider } from "./hooks/index.ts";
import { World } from "./store/index.ts";
import { Sync } from "./sync/index.ts";
import { ticker } from "./ui/ticker.ts";

const sync = new Sync({ url: "/api/live" });
const api = new Api(async (input, init) => {
  const answer = await world.fetch(input, init);
  ticker.hearServer(answer.headers.get("date"));
  return answer;
});
const world: World = new World(sync, api);
const router = makeRouter(() => world.age.get().log);

startTheme();
startShortcuts();
// Who presses keys needs it, and others never load it. Without it the page works too.
addEventListener("keydown", () => void import("./app/keep-focus.ts").then(({ startKeepFocus }) => startKeepFocus()).catch(() => undefined), { once: true, capture: true });
// Before the server speaks: its place, kept from the page before, tells what a new run of the server is.
world.active.open();
sync.start();

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has an element with the id root");
createRoot(root).render(
  <StrictMode>
    <WorldProvider world={world}>
      <RouterProvider router={router} />
    </WorldProvider>
  </StrictMode>,
);
