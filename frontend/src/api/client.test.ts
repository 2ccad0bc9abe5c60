import { expect, test } from "vitest";
import { Api, pathOf } from "./client.ts";
import { ApiProblem } from "./problem.ts";

function make(answer: () => Response | Promise<Response>): { api: Api; asked: { path: string; init: RequestInit | undefined }[] } {
  const asked: { path: string; init: RequestInit | undefined }[] = [];
  const api = new Api(async (path, init) => {
    asked.push({ path, init });
    return answer();
  });
  return { api, asked };
}

const headersOf = (init: RequestInit | undefined): Headers => new Headers(init?.headers);

test("a query leaves out what is not set, and repeats lists", () => {
  expect(pathOf("/api/jobs", { state: ["failed", "running"], kind: undefined, q: "", cursor: null, limit: 5 })).toBe(
    "/api/jobs?state=failed&state=running&limit=5",
  );
  expect(pathOf("/api/jobs")).toBe("/api/jobs");
});

test("every post carries an idempotency key, the one that is given or one of its own", async () => {
  const { api, asked } = make(() => Response.json({}));
  await api.post("/api/jobs", {}, { key: "mine" });
  await api.post("/api/jobs", {});
  await api.post("/api/jobs", {});
  const keys = asked.map(({ init }) => headersOf(init).get("idempotency-key"));
  expect(keys[0]).toBe("mine");
  expect(keys[1]).toMatch(/^[0-9a-f]{32}$/);
  expect(keys[1]).not.toBe(keys[2]);
});

test("the server's problem is thrown with its code, its hint and its pointers", async () => {
  const { api } = make(() =>
    Response.json(
      { type: "about:blank", title: "t", status: 422, detail: "steps is too big", code: "invalid_args", hint: "at most 9", errors: [{ pointer: "/args/steps", message: "too big" }] },
      { status: 422 },
    ),
  );
  await expect(api.post("/api/jobs", {})).rejects.toMatchObject({
    status: 422,
    code: "invalid_args",
    detail: "steps is too big",
    hint: "at most 9",
    errors: [{ pointer: "/args/steps", message: "too big" }],
  });
});

test("an answer that is not Daybook's is a problem as well", async () => {
  const { api } = make(() => new Response("<h1>Bad Gateway</h1>", { status: 502 }));
  await expect(api.get("/api/jobs")).rejects.toMatchObject({ status: 502, code: "not_daybook" });
  const { api: other } = make(() => new Response("<h1>Hello</h1>"));
  await expect(other.get("/api/jobs")).rejects.toMatchObject({ code: "not_daybook" });
});

test("a network that fails is a problem; an abort stays what it is", async () => {
  const { api } = make(() => Promise.reject(new TypeError("failed to fetch")));
  await expect(api.get("/api/jobs")).rejects.toBeInstanceOf(ApiProblem);
  const { api: other } = make(() => Promise.reject(new DOMException("over", "AbortError")));
  await expect(other.get("/api/jobs")).rejects.toMatchObject({ name: "AbortError" });
});
