import assert from "node:assert/strict";
import { request } from "node:http";
import { describe, it } from "node:test";
import { startDashboard, TrommelError } from "#trommel/index";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { openDashboard, testToken } from "../../../support/servers/dashboard.js";

const store = await temporaryFolder("dashboard-access");
const dashboard = await openDashboard({ store });
const reading = await openDashboard({ store, token: undefined });
const cancel = "/api/v1/runs/some/cancel";

/** fetch does not let a program choose the host. */
async function statusForHost(host: string): Promise<number | undefined> {
  const { port } = new URL(dashboard.url);
  return new Promise((resolve, reject) => {
    request({ port, host: "127.0.0.1", path: "/api/v1/runs", headers: { host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

describe("who may do what over HTTP", () => {
  it("reads on loopback without a token, and acts with it alone", async () => {
    assert.equal((await dashboard.get("/api/v1/runs")).status, 200);
    const without = await dashboard.send("POST", cancel, {});
    assert.equal(without.status, 401);
    assert.equal(without.headers.get("www-authenticate"), "Bearer");
    assert.equal(without.headers.get("content-type"), "application/problem+json");
    assert.equal(without.body["code"], "forbidden");
    const wrong = await dashboard.post(cancel, undefined, { authorization: "Bearer another-token" });
    assert.equal(wrong.status, 401);
    // The right token reaches the store, which has no such run.
    assert.equal((await dashboard.post(cancel)).status, 404);
  });

  it("refuses every action of a server without a token, and a wrong token even for reading", async () => {
    assert.equal((await reading.post(cancel)).status, 401);
    const none = await reading.send("POST", cancel, {});
    assert.equal(none.status, 403);
    assert.match(String(none.body["detail"]), /--token-file or TROMMEL_TOKEN/);
    assert.equal((await dashboard.get("/api/v1/runs", { authorization: "Bearer x" })).status, 401);
  });

  it("logs in with a cookie that no script reads and no other site sends", async () => {
    const opened = await dashboard.send("POST", "/api/v1/session", {
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token: testToken }),
    });
    const [cookie = "", ...attributes] = opened.headers.get("set-cookie")?.split("; ") ?? [];
    assert.deepEqual(attributes.sort(), ["HttpOnly", "Max-Age=43200", "Path=/", "SameSite=Strict"]);
    assert.ok(!cookie.includes(testToken));
    assert.equal((await dashboard.send("POST", cancel, { headers: { cookie } })).status, 404);
    const elsewhere = { cookie, origin: "https://elsewhere.example" };
    assert.equal((await dashboard.send("POST", cancel, { headers: elsewhere })).status, 403);
    assert.equal(
      (await dashboard.send("DELETE", "/api/v1/session", { headers: { cookie } })).body["loggedIn"],
      false,
    );
    assert.equal((await dashboard.send("POST", cancel, { headers: { cookie } })).status, 401);
  });

  it("refuses a wrong log-in, and the twenty-first within a minute whatever it says", async () => {
    const statuses = [];
    for (let i = 0; i < 21; i += 1) {
      const { status } = await reading.send("POST", "/api/v1/session", {
        headers: { "content-type": "application/json" },
        body: "{}",
      });
      statuses.push(status);
    }
    assert.deepEqual(new Set(statuses.slice(0, 20)), new Set([400]));
    assert.equal(statuses[20], 429);
  });

  it("refuses a token in a URL, by the parameter's name or by its value, and repeats it nowhere", async () => {
    for (const query of ["token=abc", "access_token=abc", "api_key=abc", `after=${testToken}`]) {
      const { status, text } = await dashboard.get(`/api/v1/runs?${query}`);
      assert.equal(status, 400, query);
      assert.match(text, /cannot use a token in a URL/);
      assert.ok(!text.includes(testToken));
    }
  });

  it("answers on loopback for loopback's names alone, so that no other name leads to it", async () => {
    assert.equal(await statusForHost("localhost:1"), 200);
    assert.equal(await statusForHost("[::1]:8470"), 200);
    assert.equal(await statusForHost("rebound.example"), 403);
    assert.equal(await statusForHost("127.0.0.1.rebound.example"), 403);
  });

  it("lets nobody frame it, and loads nothing from elsewhere", async () => {
    const { headers } = await dashboard.get("/");
    const policy = headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.ok(!/unsafe|https?:|\*/.test(policy), policy);
    assert.equal(headers.get("x-frame-options"), "DENY");
  });

  it("does not start off loopback without a token, or with one over plain HTTP", async () => {
    const refused = (pattern: RegExp) => (thrown: unknown) =>
      thrown instanceof TrommelError && thrown.code === "invalid-argument" && pattern.test(thrown.message);
    await assert.rejects(startDashboard({ store, listen: "0.0.0.0:0" }), refused(/there is no token/));
    await assert.rejects(
      startDashboard({ store, listen: "0.0.0.0:0", token: testToken }),
      refused(/plain HTTP.*--insecure-http/),
    );
    await assert.rejects(startDashboard({ store, token: "short" }), refused(/at least 16/));
    await assert.rejects(startDashboard({ store, listen: "here" }), refused(/no address and port/));
    const { port } = new URL(dashboard.url);
    await assert.rejects(startDashboard({ store, listen: `127.0.0.1:${port}` }), /another program listens/);
  });

  it("needs the token for reading, too, where others reach it", async () => {
    const open = await openDashboard({ store, listen: "0.0.0.0:0", insecureHttp: true });
    const local = open.url.replace("0.0.0.0", "127.0.0.1");
    assert.equal((await fetch(`${local}/api/v1/runs`)).status, 401);
    assert.equal((await fetch(`${local}/api/v1/events`)).status, 401);
    const authorization = `Bearer ${testToken}`;
    assert.equal((await fetch(`${local}/api/v1/runs`, { headers: { authorization } })).status, 200);
  });
});
