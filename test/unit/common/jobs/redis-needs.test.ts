import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { probesOf } from "#common/jobs/connection/redis-needs";

/** The sources of BullMQ's scripts, which its package carries. */
const scriptFolder = join(dirname(createRequire(import.meta.url).resolve("bullmq")), "../esm/commands");

function scripts(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".lua") && !/relay/i.test(name))
    .map((name) => readFileSync(join(folder, name), "utf8"));
}

describe("what is checked of Redis", () => {
  it("has every command that the installed BullMQ's scripts call, but for relays", () => {
    const called = new Set<string>();
    for (const script of scripts(scriptFolder)) {
      for (const [, name = ""] of script.matchAll(/(?:rcall|redis\.p?call)\(\s*["']([A-Za-z]+)["']/g))
        called.add(name.toUpperCase());
    }
    assert.ok(called.size > 40, `only ${called.size} commands found`);
    const probed = new Set(probesOf("x").map(([command]) => command));
    assert.deepEqual(
      [...called].filter((command) => !probed.has(command)),
      [],
    );
  });

  it("uses only keys of its own below the queues' prefix", () => {
    const keys = probesOf("x").flatMap((probe) => probe.filter((part) => String(part).includes(":")));
    const own = keys.filter((key) => !String(key).includes("redis.call"));
    assert.ok(own.length > 50);
    for (const key of own) assert.match(String(key), /^trommel:check:x:[a-z]+$/);
  });
});
