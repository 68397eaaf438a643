import assert from "node:assert/strict";
import { after } from "node:test";
import { startDashboard, type DashboardOptions } from "#trommel/index";

/** The token of a test's dashboard. */
export const testToken = "a-token-of-a-test-0123456789";

/** A dashboard on a free port of loopback, closed when the file's tests are over: open it outside of hooks. */
export async function openDashboard(options: DashboardOptions): Promise<TestDashboard> {
  const server = await startDashboard({ listen: "127.0.0.1:0", token: testToken, ...options });
  assert.ok(server !== undefined);
  after(() => server.close());
  return new TestDashboard(server.url, () => server.close());
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** Parsed where it is JSON, else its text. */
  readonly body: Record<string, unknown>;
  readonly text: string;
}

/** Sends requests as a program would. */
export class TestDashboard {
  constructor(
    readonly url: string,
    readonly close: () => Promise<void>,
  ) {}

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send("GET", path, { headers });
  }

  /** With the token, and a body of JSON where one is given. */
  post(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const json: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    return this.send("POST", path, {
      headers: { authorization: `Bearer ${testToken}`, ...json, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async send(method: string, path: string, init: RequestInit): Promise<Answer> {
    const response = await fetch(`${this.url}${path}`, { method, ...init });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json") === true && !text.includes("\n");
    const body = isJson ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: response.status, headers: response.headers, body, text };
  }
}
