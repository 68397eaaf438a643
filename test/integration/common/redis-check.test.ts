import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { ReleaseStack, TrommelError } from "@trommel/common";
import { checkRedis } from "#common/jobs/connection/check-redis";
import { Redis } from "ioredis";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { waitUntil } from "../../support/process/wait-until.js";

/**
 * What a check says of a Redis that cannot carry jobs, with real servers and real rights. `TROMMEL_TEST_REDIS_SERVERS` names
 * more servers, separated by spaces: other versions, Valkey. A valkey-server on the PATH is one of them.
 */
const servers = [
  process.env["TROMMEL_REDIS_SERVER"] ?? "redis-server",
  ...(process.env["TROMMEL_TEST_REDIS_SERVERS"] ?? "valkey-server").split(" ").filter(Boolean),
];

for (const binary of servers) {
  describe(
    `the check of Redis: ${binary}`,
    { skip: !isThere(binary) && `${binary} is not installed` },
    () => {
      const releases = new ReleaseStack();
      let server: TestRedis;
      let admin: Redis;
      before(async () => {
        server = await startRedisServer({ binary });
        releases.add("server", () => server.stop());
        admin = new Redis(server.url());
        releases.add("admin", () => admin.disconnect());
      });
      after(async () => assert.deepEqual(await releases.releaseAll(), []));

      async function userWith(...rules: string[]): Promise<string> {
        await admin.call("ACL", "DELUSER", "u");
        await admin.call("ACL", "SETUSER", "u", "on", ">p", ...rules);
        return server.urlOf("u", "p");
      }

      it("passes, leaves no key, and needs neither channels nor dangerous commands but INFO", async () => {
        await checkRedis(server.url());
        await checkRedis(server.url(3));
        const categories = "+@read +@write +@scripting +@transaction +@connection +info".split(" ");
        await checkRedis(await userWith("~trommel:*", "resetchannels", "-@all", ...categories));
        for (const database of [0, 3]) {
          await admin.select(database);
          assert.deepEqual(await admin.keys("*"), []);
        }
      });

      const refusals: readonly [rules: string, said: RegExp][] = [
        ["~* &* +@all -@dangerous", /its user 'u' may not run INFO\. Grant it: ACL SETUSER u \+info$/],
        ["~* +@all -@scripting", /may not run EVAL, EVALSHA, SCRIPT\. .* \+eval \+evalsha \+script$/],
        ["~* +@all -@blocking", /may not run BZPOPMIN\. /],
        ["~* +@all -@stream -multi", /may not run XADD, XTRIM, MULTI\. /],
        ["~bull:* +@all", /may not use the keys trommel:\*\. .* ~trommel:\*$/],
        ["~trommel:plan:* +@all -zadd", /may not run ZADD and use the keys trommel:\*\. /],
        ["~* +@read", /may not run INFO, PING, SET, .* and \d+ more\. .*\+@scripting/],
      ];
      for (const [rules, said] of refusals) {
        it(`names what is missing with the rights ${rules}`, async () => {
          await refuses(await userWith(...rules.split(" ")), "forbidden", said);
        });
      }

      it("grants with its own advice what it found missing", async () => {
        const url = await userWith("~bull:*", "+@all", "-@dangerous", "-@scripting", "-@stream");
        const advice = /ACL SETUSER u (.*)$/.exec(await messageFor(url))?.[1] ?? "";
        await admin.call("ACL", "SETUSER", "u", ...advice.split(" "));
        await checkRedis(url);
      });

      it("refuses a database that is not there, and never works in another", async () => {
        await refuses(
          server.url(99),
          "invalid-argument",
          /cannot use database 99 of .*DB index is out of range/,
        );
        await admin.select(0);
        assert.deepEqual(await admin.keys("*"), []);
      });

      it("refuses a login without showing its password", async () => {
        const url = server.urlOf("nobody", "open-sesame");
        const message = await refuses(url, "forbidden", /cannot enter Redis at redis:\/\/nobody@127/);
        assert.ok(!message.includes("open-sesame"));
      });

      it("refuses eviction, a replica with the name of its primary, and a cluster", async () => {
        await admin.config("SET", "maxmemory-policy", "allkeys-lru");
        await refuses(server.url(), "unsupported", /maxmemory-policy is allkeys-lru/);
        await admin.config("SET", "maxmemory-policy", "noeviction");
        const replica = await startRedisServer({
          binary,
          flags: ["--replicaof", "127.0.0.1", String(server.port)],
        });
        releases.add("replica", () => replica.stop());
        const said = new RegExp(`it is a replica.*127\\.0\\.0\\.1:${server.port}`);
        await waitUntil(
          "the replica has its data",
          async () => !/LOADING/.test(await messageFor(replica.url())),
        );
        await refuses(replica.url(), "unsupported", said);
        const cluster = await startRedisServer({ binary, flags: ["--cluster-enabled", "yes"] });
        releases.add("cluster", () => cluster.stop());
        for (const url of [cluster.url(), cluster.url(1)]) await refuses(url, "unsupported", /cluster mode/);
      });
    },
  );
}

async function refuses(url: string, code: string, said: RegExp): Promise<string> {
  const error = await checkRedis(url).then(
    () => assert.fail("the check passed"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof TrommelError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, said);
  assert.ok(!error.message.includes("\n"));
  return error.message;
}

async function messageFor(url: string): Promise<string> {
  return checkRedis(url).then(
    () => "",
    (thrown: unknown) => String(thrown),
  );
}

function isThere(binary: string): boolean {
  try {
    execFileSync(binary, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
