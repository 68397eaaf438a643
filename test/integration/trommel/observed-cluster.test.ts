import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ReleaseStack } from "@trommel/common";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../support/models/tiny-backbone.js";
import { RunningCli, runInProcess, trommel } from "../../support/process/cli.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

/** A coordinator, a worker and commands as processes of their own: what they tell Prometheus and a trace collector of a training. */

interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** Of the job that it is about. */
  readonly job: string;
  readonly process: string;
}

const folder = await temporaryFolder("observed");
const releases = new ReleaseStack();
const dataset = join(folder, "labelled");
const spans: ReceivedSpan[] = [];
let redis: TestRedis;
let cluster: string[];
let env: Record<string, string>;
let coordinator: RunningCli;
let worker: RunningCli;

before(async () => {
  redis = await startRedisServer();
  releases.add("redis", () => redis.stop().catch(() => undefined));
  await writeFiles(dataset, await drawDataset(["glass", "paper"], { to: 12 }));
  await writeFiles(dataset, new Map([["glass/empty.png", Buffer.alloc(0)]]));
  cluster = ["--redis", redis.url(), "--store", await storeWithTinyBackbone(folder)];
  env = { OTEL_EXPORTER_OTLP_ENDPOINT: await startCollector() };
  coordinator = new RunningCli(["coordinator", ...cluster, "--metrics", "127.0.0.1:0"], { env });
  releases.add("coordinator", () => coordinator.stop());
  worker = new RunningCli(["worker", ...cluster, "--threads", "1"], {
    env: { ...env, TROMMEL_METRICS: "127.0.0.1:0" },
  });
  releases.add("worker", () => worker.stop());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** Receives OTLP over HTTP as JSON. @returns its address */
async function startCollector(): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (request.url === "/v1/traces") spans.push(...spansOf(Buffer.concat(chunks).toString("utf8")));
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  releases.add("collector", () => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

function spansOf(body: string): ReceivedSpan[] {
  const { resourceSpans } = JSON.parse(body) as {
    resourceSpans: {
      resource: { attributes: Attribute[] };
      scopeSpans: {
        spans: {
          traceId: string;
          spanId: string;
          parentSpanId?: string;
          name: string;
          attributes: Attribute[];
        }[];
      }[];
    }[];
  };
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const named = (attributes: readonly Attribute[], key: string): string =>
      attributes.find((attribute) => attribute.key === key)?.value.stringValue ?? "";
    const process = `${named(resource.attributes, "service.name")} ${named(resource.attributes, "service.instance.id")}`;
    return scopeSpans.flatMap((scope) =>
      scope.spans.map(({ traceId, spanId, parentSpanId, name, attributes }) => ({
        ...{ traceId, spanId, parentSpanId, name, process },
        job: named(attributes, "bullmq.job.id"),
      })),
    );
  });
}

/** Its metrics by name and labels, as text. */
async function scrape(server: RunningCli): Promise<Map<string, number>> {
  await server.says("metrics at http");
  const [, url = ""] = /metrics at (http:\S+metrics)/.exec(server.stdout + server.stderr) ?? [];
  const text = await (await fetch(url)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(" ");
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

describe("a cluster that is observed", () => {
  it("counts images, failures by reason, bytes and time of a training, and tells queues and members", async () => {
    const { code, stderr } = await trommel(
      [
        ...["train", dataset, "--backbone", tinyBackbone.name, "--run", "seen", ...cluster, "--follow"],
        ...["--shard-size", "5", "--validation", "0.25", "--head", "se", "--epochs", "2", "--views", "2"],
      ],
      { env, timeoutMs: 180_000 },
    );
    assert.equal(code, 0, stderr);
    const ofWorker = await scrape(worker);
    const files = [...(await drawDataset(["glass", "paper"], { to: 12 })).values()];
    const bytes = files.reduce((sum, file) => sum + file.byteLength, 0);
    assert.equal(ofWorker.get('trommel_images_total{stage="extract"}'), 25);
    assert.equal(ofWorker.get('trommel_failed_images_total{stage="extract",reason="empty"}'), 1);
    // Every file is read once to extract it; later stages read no image but the few that a bundle is checked with.
    assert.equal(ofWorker.get('trommel_read_bytes_total{stage="extract"}'), bytes);
    assert.equal(ofWorker.get('trommel_job_duration_seconds_count{stage="extract",outcome="done"}'), 5);
    assert.equal(ofWorker.get('trommel_job_duration_seconds_count{stage="bundle",outcome="done"}'), 1);
    assert.equal(ofWorker.get('trommel_jobs_under_way{stage="extract"}'), 0);
    assert.ok(
      (ofWorker.get('trommel_device_busy_seconds_total{device="cpu",provider="cpu",engine="onnx"}') ?? 0) > 0,
    );
    assert.ok((ofWorker.get("process_resident_memory_bytes") ?? 0) > 0);
    const ofCoordinator = await scrape(coordinator);
    assert.equal(ofCoordinator.get('trommel_queue_jobs{queue="extract",state="waiting"}'), 0);
    const members = [...ofCoordinator].filter(([name]) => name.startsWith("trommel_members"));
    assert.deepEqual(
      members.map(([, count]) => count),
      [1, 1],
    );
    assert.equal(ofCoordinator.get("trommel_redis_up"), 1);
  });

  it("makes one trace of it, from the command to the last job, over three processes", async () => {
    const trace = await waitUntil("the trace is complete", () => {
      const root = spans.find(({ process }) => process.startsWith("trommel-command"));
      const own = spans.filter(({ traceId }) => traceId === root?.traceId);
      const processes = new Set(own.map(({ process }) => process.split(" ")[0]));
      return processes.size === 3 && own.some(({ name }) => /reduce/.test(name)) && own;
    });
    const processes = new Set(trace.map(({ process }) => process));
    assert.deepEqual([...processes].map((process) => process.split(" ")[0]).sort(), [
      "trommel-command",
      "trommel-coordinator",
      "trommel-worker",
    ]);
    for (const { pid } of [coordinator, worker])
      assert.ok([...processes].some((process) => process.endsWith(`:${pid}`)));
    const [traceId = ""] = trace.map((span) => span.traceId);
    const lines = worker.stderr.split("\n").filter((line) => line.startsWith("{"));
    const extracted = lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ stage, msg }) => stage === "extract" && msg === "done");
    assert.deepEqual(
      new Set(extracted.map(({ run, trace: logged }) => `${String(run)} ${String(logged)}`)),
      new Set([`seen ${traceId}`]),
    );
    assert.deepEqual(extracted.map(({ shard }) => shard).sort(), [0, 1, 2, 3, 4]);
  });

  it("makes one trace of a scoring and one of a sorting, in which the last job too has its own span", async () => {
    const output = join(folder, "scores");
    const into = join(folder, "sorted");
    for (const [args, ...stages] of [
      [["score", dataset, "--model", "seen", "--output", output], "close", "plan-scoring", "score.0"],
      [["sort", output, "--into", into], "close-sort", "plan-sorting", "sort.0"],
    ] as const) {
      const { code, stdout, stderr } = await trommel([...args, ...cluster, "--json", "--follow"], { env });
      assert.equal(code, 0, stderr);
      const { id } = JSON.parse(stdout) as { id: string };
      const spanOf = (operation: string, stage: string): ReceivedSpan | undefined =>
        spans.find(({ name, job }) => name.startsWith(`${operation} `) && job === `${id}.1.${stage}`);
      const begun = await waitUntil("every job's span is sent", () => {
        const sent = stages.flatMap((stage) => spanOf("process", stage) ?? []);
        return sent.length === stages.length && sent;
      });
      const queued = spanOf("addNode", stages[0]);
      assert.match(queued?.process ?? "", /^trommel-command /);
      assert.equal(begun[0]?.parentSpanId, queued?.spanId);
      for (const { traceId, job } of begun) assert.equal(traceId, queued?.traceId, job);
    }
  });

  it("answers a scrape in time after its Redis is gone, and says so", async () => {
    await redis.stop();
    await waitUntil("the worker says that Redis is down", async () => {
      const metrics = await scrape(worker);
      return metrics.get("trommel_redis_up") === 0 && metrics.has('trommel_images_total{stage="extract"}');
    });
    const begun = performance.now();
    assert.ok((await scrape(coordinator)).has("process_resident_memory_bytes"));
    assert.ok(performance.now() - begun < 10_000);
  });

  it("refuses an address that is none, or taken", async () => {
    const other = await startRedisServer();
    releases.add("other redis", () => other.stop());
    const onOther = ["coordinator", "--redis", other.url(), "--store", folder];
    for (const address of ["9464", "host:99999", `127.0.0.1:${other.port}`]) {
      const { code, stderr } = await runInProcess([...onOther, "--metrics", address]);
      assert.equal(code, 2, address);
      assert.match(stderr, /cannot serve metrics at .* Give /);
    }
  });
});
