import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { Redis } from "ioredis";
import { RunningCli, trommel } from "../../support/process/cli.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";

/** Services whose Redis refuses what they need: when they start, and later. */

const folder = await temporaryFolder("redis-refusals");
const releases = new ReleaseStack();
const rights = ["on", ">p", "~trommel:*", "+@all"];
/** A bound, and not a measure: a refusal has to stay for some seconds. */
const endsWithinMs = 60_000;
const startsWithinMs = 120_000;
let server: TestRedis;
let admin: Redis;

before(async () => {
  server = await startRedisServer();
  releases.add("server", () => server.stop());
  admin = new Redis(server.url());
  releases.add("admin", () => admin.disconnect());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

async function grant(...more: string[]): Promise<Record<string, string>> {
  await admin.call("ACL", "DELUSER", "u");
  await admin.call("ACL", "SETUSER", "u", ...rights, ...more);
  return { TROMMEL_REDIS_URL: server.urlOf("u", "p"), TROMMEL_STORE: join(folder, "store") };
}

const commands: readonly (readonly [args: readonly string[], serving: string])[] = [
  [["coordinator"], "coordinator: redis"],
  [["worker", "--threads", "1"], "extract tune score reduce fold from redis://"],
];

describe("a Redis that refuses what is needed when a command starts", () => {
  for (const [args] of commands) {
    it(`ends '${args.join(" ")}' with one line and 1`, async () => {
      const env = await grant("-@dangerous");
      const { code, stderr } = await trommel(args, { env, timeoutMs: endsWithinMs });
      assert.equal(code, 1, stderr);
      assert.equal(
        stderr,
        `trommel: cannot use Redis at redis://u@127.0.0.1:${server.port}: its user 'u' may not run INFO. Grant it: ACL SETUSER u +info\n`,
      );
    });
  }
});

describe("a Redis that refuses what is needed later", () => {
  const changes: readonly (readonly [what: string, change: () => Promise<unknown>, said: RegExp])[] = [
    [
      "takes a right",
      () => admin.call("ACL", "SETUSER", "u", "-evalsha", "-info"),
      /may not run INFO, EVALSHA/,
    ],
    [
      "takes the keys",
      () => admin.call("ACL", "SETUSER", "u", "resetkeys"),
      /may not use the keys trommel:\*/,
    ],
    ["removes the user", () => admin.call("ACL", "DELUSER", "u"), /cannot enter Redis .*WRONGPASS/],
    ["becomes a replica", () => admin.call("REPLICAOF", "127.0.0.1", "1"), /it is a replica/],
  ];
  for (const [what, change, said] of changes) {
    it(`ends coordinator and worker if it ${what}`, async () => {
      const env = await grant();
      const running = commands.map(([args]) => new RunningCli(args, { env }));
      for (const service of running) releases.add(what, () => service.stop());
      for (const [place, service] of running.entries())
        await service.says(commands[place]?.[1] ?? "", startsWithinMs);
      await change();
      for (const service of running) {
        const { code, stderr } = await service.end(endsWithinMs);
        assert.equal(code, 1, stderr);
        const lines = stderr.trim().split("\n");
        const verdicts = lines.filter((line) => line.startsWith("trommel: "));
        assert.equal(verdicts.length, 1, stderr);
        assert.match(verdicts[0] ?? "", said);
        assert.ok(lines.length < 40, stderr);
      }
      await admin.call("REPLICAOF", "NO", "ONE");
    });
  }

  it("goes on if the right comes back at once", async () => {
    const env = await grant();
    const service = new RunningCli(["coordinator"], { env });
    releases.add("coordinator", () => service.stop());
    await service.says("coordinator: redis", startsWithinMs);
    await admin.call("ACL", "SETUSER", "u", "-evalsha");
    await service.says("evalsha");
    await admin.call("ACL", "SETUSER", "u", "+evalsha");
    await assert.rejects(service.end(8000), /did not end/);
  });
});
