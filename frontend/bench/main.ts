// The product as it is, from its own composition root on: the sync engine, the stores, the shell with the strip, the page
// of jobs. Only the network is none: the server is a worker beside the page (`stand-in.ts`, which has to come first).

import { bench } from "./drive.ts";
import "../src/main.tsx";

Object.assign(window, { bench });
