import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { startDashboard } from "#trommel/index";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { waitUntil } from "../../../support/process/wait-until.js";
import { startRedisServer } from "../../../support/servers/redis-server.js";

const folder = await temporaryFolder("dashboard-metrics");
const redis = await startRedisServer();
after(() => redis.stop());
const dashboard = await startDashboard({
  ...{ store: join(folder, "store"), redis: redis.url() },
  ...{ listen: "127.0.0.1:0", metrics: "127.0.0.1:0" },
});
assert.ok(dashboard?.metrics !== undefined);
after(() => dashboard.close());
const { url, metrics } = dashboard;

async function series(): Promise<string[]> {
  const answer = await fetch(metrics ?? "");
  assert.equal(answer.status, 200);
  return (await answer.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

const has = async (line: string): Promise<true | undefined> =>
  (await series()).includes(line) ? true : undefined;

describe("the metrics of a dashboard", () => {
  it("count requests by route and status, and never by the id that they name", async () => {
    for (const path of ["/api/v1/runs", "/api/v1/runs", "/api/v1/runs/no-such-run", "/nowhere"])
      await (await fetch(`${url}${path}`)).arrayBuffer();
    const counted = "trommel_http_requests_total";
    await waitUntil("the listings are counted", () =>
      has(`${counted}{method="GET",route="/api/v1/runs",status="200"} 2`),
    );
    await waitUntil("what is not there is counted", () =>
      has(`${counted}{method="GET",route="/api/v1/runs/:id",status="404"} 1`),
    );
    const all = (await series()).join("\n");
    assert.ok(!all.includes("no-such-run"));
    assert.ok(!all.includes("nowhere"));
  });

  it("say who watches, whether Redis answers, and what waits", async () => {
    const leaving = new AbortController();
    const watched = await fetch(`${url}/api/v1/events`, { signal: leaving.signal });
    assert.equal(watched.status, 200);
    await waitUntil("one watches", () => has("trommel_watchers 1"));
    leaving.abort();
    await waitUntil("nobody watches", () => has("trommel_watchers 0"));
    assert.ok(await has("trommel_redis_up 1"));
    assert.ok(await has('trommel_queue_jobs{queue="extract",state="waiting"} 0'));
    const builds = (await series()).filter((line) => line.startsWith("trommel_build_info"));
    assert.equal(builds.length, 1);
    assert.match(builds[0] ?? "", /kind="dashboard"/);
  });
});
