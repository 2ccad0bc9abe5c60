// The composition root: makes all there is one of, ties it together, and nothing else.

import "./app/style.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Api } from "./api/index.ts";
import { makeRouter } from "./app/router.tsx";
import { startShortcuts } from "./app/shortcuts.ts";
import { startTheme } from "./app/theme.ts";
import { makeQueryClient, WorldProvider } from "./hooks/index.ts";
import { World } from "./store/index.ts";
import { Sync } from "./sync/index.ts";

const sync = new Sync({ url: "/api/live" });
const world = new World(sync, new Api(sync.fetch));
const queries = makeQueryClient();
// After a reset nothing that was asked before is true.
world.onClear(() => queries.clear());
const router = makeRouter();

startTheme();
startShortcuts();
sync.start();

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has an element with the id root");
createRoot(root).render(
  <StrictMode>
    <WorldProvider world={world}>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </WorldProvider>
  </StrictMode>,
);
