import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { writeMember, type ClusterMember } from "@trommel/common/redis";
import { Redis } from "ioredis";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { onlyJsonObject, RunningCli, runInProcess, trommel } from "../../support/process/cli.js";
import { SmallDisk } from "../../support/process/small-disk.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { startS3Server } from "../../support/servers/s3-server.js";

/** Every part of a cluster is broken in turn, and the doctor must name it; real servers, disks and processes. */

interface Finding {
  readonly check: string;
  readonly status: string;
  readonly found: string;
  readonly advice: string | null;
}

const folder = await temporaryFolder("doctor");
const releases = new ReleaseStack();
let redis: TestRedis;
let admin: Redis;
let store: string;

before(async () => {
  redis = await startRedisServer();
  releases.add("redis", () => redis.stop());
  admin = new Redis(redis.url());
  releases.add("admin", () => admin.disconnect());
  store = await storeWithTinyBackbone(folder);
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

async function diagnose(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly of: (check: string) => Finding }> {
  const all = ["doctor", "--json", ...args];
  const needsProcess = Object.keys(env).some((name) => name.startsWith("AWS_"));
  const { code, stdout } = await (needsProcess ? trommel(all, { env }) : runInProcess(all, { env }));
  const { findings } = onlyJsonObject(stdout) as { findings: Finding[] };
  const of = (check: string): Finding => {
    const found = findings.find((finding) => finding.check === check);
    assert.ok(found, `no finding of ${check}`);
    return found;
  };
  return { code, of };
}

async function serve(kind: ClusterMember["kind"], version: string, name: string = kind): Promise<void> {
  const member = { kind, name, version, storeUrl: `file://${store}`, startedMs: 0, residentBytes: 0 };
  await writeMember(admin, member);
  // On a busy machine a test lasts longer than a member that says nothing is listed.
  await admin.persist(`trommel:member:${name}`);
}

/** A server that takes connections and says nothing. */
async function silentServer(): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  releases.add("silent server", () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe("trommel doctor", () => {
  it("finds a whole cluster healthy, and leaves nothing in its store", async () => {
    const { version } = JSON.parse(
      await readFile(new URL("../../../../packages/trommel/package.json", import.meta.url), "utf8"),
    ) as { version: string };
    await serve("coordinator", version);
    await serve("worker", version);
    const { code, of } = await diagnose(["--store", store, "--redis", redis.url()]);
    const checks = "node sharp onnxruntime redis redis-latency store-write store-read store-listing".split(
      " ",
    );
    for (const check of [...checks, "store-conditional-write", "store-clock", "coordinators", "versions"])
      assert.equal(of(check).status, "ok", JSON.stringify(of(check)));
    assert.match(of("backbones").found, new RegExp(tinyBackbone.id));
    assert.equal(code, 0);
    assert.deepEqual(await readdir(join(store, "doctor")), []);
    // One that was killed leaves what is removed with other garbage, once it is old enough.
    await mkdir(join(store, "doctor/killed"), { recursive: true });
    await writeFile(join(store, "doctor/killed/a"), "a");
    await utimes(join(store, "doctor/killed/a"), 1, 1);
    const { stdout } = await runInProcess(["store", "gc", "--yes", "--store", store]);
    assert.match(stdout, /objects of checks that were interrupted: 1 object/);
    await assert.rejects(readFile(join(store, "doctor/killed/a")), { code: "ENOENT" });
    assert.deepEqual(await admin.keys("trommel:check:*"), []);
  });

  it("names a worker of another version, and a cluster without coordinator", async () => {
    await admin.flushall();
    await serve("worker", "0.0.9", "old:7");
    const { code, of } = await diagnose(["--store", store, "--redis", redis.url()]);
    assert.equal(code, 1);
    assert.match(of("versions").found, /the worker old:7 is 0\.0\.9/);
    assert.equal(of("versions").status, "failed");
    assert.match(of("coordinators").advice ?? "", /trommel coordinator/);
  });

  it("names the policy of a Redis that drops jobs, and one that is nearly full", async () => {
    await admin.config("SET", "maxmemory-policy", "allkeys-lru");
    const { code, of } = await diagnose(["--store", store, "--redis", redis.url()]);
    await admin.config("SET", "maxmemory-policy", "noeviction");
    assert.equal(code, 1);
    assert.match(of("redis").found, /maxmemory-policy is allkeys-lru/);
    assert.match(of("redis").advice ?? "", /noeviction/);
    assert.equal(of("redis-latency").status, "skipped");
    const used = Number(/used_memory:(\d+)/.exec(await admin.info("memory"))?.[1]);
    await admin.config("SET", "maxmemory", String(Math.ceil(used * 1.1)));
    const full = await diagnose(["--store", store, "--redis", redis.url()]);
    await admin.config("SET", "maxmemory", "0");
    assert.equal(full.of("redis-memory").status, "warning");
    assert.match(full.of("redis-memory").advice ?? "", /maxmemory/);
  });

  it("names the rights that the user of Redis lacks", async () => {
    await admin.call("ACL", "SETUSER", "u", "on", ">p", "~trommel:*", "+@all", "-@scripting");
    const { code, of } = await diagnose(["--store", store, "--redis", redis.urlOf("u", "p")]);
    assert.equal(code, 1);
    assert.match(of("redis").found, /may not run EVAL/);
    assert.match(of("redis").advice ?? "", /ACL SETUSER u \+eval/);
  });

  it("ends in time if Redis and S3 take connections and say nothing", async () => {
    const port = await silentServer();
    const env = {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}`,
      ...{ AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_REGION: "us-east-1" },
    };
    const begun = performance.now();
    const { code, of } = await diagnose(
      ["--store", "s3://bucket/p", "--redis", `redis://127.0.0.1:${port}`, "--timeout", "2"],
      env,
    );
    const seconds = (performance.now() - begun) / 1000;
    assert.equal(code, 1);
    assert.equal(of("redis").status, "failed");
    assert.equal(of("store-write").status, "failed");
    assert.equal(of("store-read").status, "skipped");
    assert.equal(of("backbones").status, "failed");
    assert.ok(seconds < 60, `it took ${seconds} s`);
  });

  it("names a store without conditional writes, refused or ignored", async () => {
    for (const conditionalWrites of ["ignored", "refused", "honoured"] as const) {
      const server = await startS3Server({ conditionalWrites });
      releases.add("s3", () => server.stop());
      server.createBucket("bucket");
      const { code, of } = await diagnose(["--store", "s3://bucket/p", "--redis", redis.url()], {
        ...server.env,
      });
      const expected = conditionalWrites === "honoured" ? "ok" : "warning";
      assert.equal(of("store-conditional-write").status, expected, conditionalWrites);
      // Nobody serves since the version test.
      assert.equal(code, 1);
      assert.equal(of("store-clock").status, "ok");
    }
  });

  it("names a store that takes no writes, and a disk without room", async (t) => {
    const disk = await SmallDisk.mount(64 * 2 ** 20);
    if (typeof disk === "string") return t.skip(`a tmpfs cannot be mounted here: ${disk}`);
    releases.add("disk", () => disk.unmount());
    const small = await diagnose(["--store", join(disk.folder, "store")]);
    assert.equal(small.of("disk").status, "failed");
    assert.match(small.of("disk").found, new RegExp(`MiB free in ${disk.folder}`));
    assert.equal(small.of("store-write").status, "ok");
    await disk.setReadOnly(true);
    const { code, of } = await diagnose(["--store", join(disk.folder, "store")]);
    assert.equal(code, 1);
    assert.match(of("store-write").found, /read-only/);
    assert.equal(of("store-listing").status, "skipped");
  });

  it("names a backbone of which a byte was changed", async () => {
    const file = join(store, "backbones", tinyBackbone.id, "model.onnx");
    const bytes = await readFile(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const { code, of } = await diagnose(["--store", store]);
    assert.equal(code, 1);
    assert.match(of("backbones").found, new RegExp(`${tinyBackbone.id}.*sha256`));
    assert.equal(of("backbones").status, "failed");
  });

  it("names a device that does not work here, and a redis-server that is missing", async () => {
    const { code, of } = await diagnose(["--store", store, "--device", "cuda"], {
      TROMMEL_REDIS_SERVER: "/nonexistent/redis-server",
    });
    assert.equal(code, 1);
    assert.match(of("onnxruntime").found, /cannot use the device cuda/);
    assert.equal(of("sharp").status, "ok");
    assert.match(of("redis").found, /\/nonexistent\/redis-server cannot be started/);
  });
});

describe("trommel workers", () => {
  it("lists real coordinators and workers while they serve, and not after", async () => {
    await admin.flushall();
    const cluster = ["--redis", redis.url(), "--store", store];
    const server = new RunningCli(["coordinator", ...cluster]);
    releases.add("coordinator", () => server.stop());
    const worker = new RunningCli(["worker", ...cluster, "--queues", "score", "reduce", "--threads", "1"]);
    releases.add("worker", () => worker.stop());
    const list = async (): Promise<ClusterMember[]> => {
      const { stdout } = await runInProcess(["workers", "--json", ...cluster]);
      return (onlyJsonObject(stdout) as { members: ClusterMember[] }).members;
    };
    const members = await waitUntil("both are listed", async () => {
      const found = await list();
      return found.length === 2 && found;
    });
    const listed = members.find(({ kind }) => kind === "worker");
    assert.deepEqual(listed?.worker?.queues, ["score", "reduce"]);
    assert.equal(listed?.worker?.provider, "cpu");
    assert.deepEqual(listed?.worker?.underWay, []);
    assert.ok(listed?.name.endsWith(`:${worker.pid}`));
    const { stdout } = await runInProcess(["workers", ...cluster]);
    assert.match(stdout, /worker +\S+ +onnx on cpu, 1 thread +score reduce/);
    await worker.stop();
    assert.deepEqual(
      (await list()).map(({ kind }) => kind),
      ["coordinator"],
    );
    // One that is killed says nothing, and its key expires.
    server.kill("SIGKILL");
    await waitUntil("the killed coordinator is gone", async () => (await list()).length === 0);
  });

  it("refuses to list those of no Redis", async () => {
    const { code, stderr } = await runInProcess(["workers", "--store", store]);
    assert.equal(code, 2);
    assert.match(stderr, /cannot list workers: .* Give --redis/);
  });
});
