import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { errorCodes } from "@trommel/common";
import {
  onlyJsonObject,
  runInProcess,
  trommel,
  trommelJson,
  type CliResult,
} from "../../support/process/cli.js";
import { drawDataset, writeFiles } from "../../support/images/dataset.js";
import { assertSameFiles, fileHashes, filesBelow } from "../../support/files/file-hashes.js";
import { freePort, startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import {
  storeWithTinyBackbone,
  tinyBackbone,
  writeTinyBackbone,
} from "../../support/models/tiny-backbone.js";

/** A command that must be refused because of a person's mistake. */
interface Refusal {
  readonly name: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly code: keyof typeof errorCodes;
  /** What the one line must name: the value, and what to do. */
  readonly says: readonly RegExp[];
  /** The run is planned before the fault shows, so its configuration and listing stay. */
  readonly planned?: boolean;
  /** Its workers start and say on stderr why they end; nothing is written. */
  readonly starts?: boolean;
  readonly skip?: boolean;
}

/** A bound against hanging, wide enough for a machine that does other things too. */
const timeoutMs = 45_000;
const labels = ["glass", "metal"];
const folder = await temporaryFolder("bad-input");
const pathOf = (name: string): string => join(folder, name);
const dataset = pathOf("labelled");
const backbone = ["--backbone", tinyBackbone.name];
const quick = [...backbone, "--views", "1", "--head", "se", "--epochs", "2", "--step", "8", "--workers", "1"];
let store = "";
let redis: TestRedis;
let s3: S3Server;
let deadPort = 0;

before(async () => {
  const pictures = await drawDataset(labels, { to: 4 });
  await writeFiles(dataset, pictures);
  await mkdir(pathOf("empty"));
  await cp(dataset, pathOf("one-image"), { recursive: true });
  await writeFiles(pathOf("one-image"), new Map([["lonely/a.png", [...pictures.values()][0] ?? ""]]));
  await writeFile(pathOf("unknown-field.yaml"), "backbones: [tiny]\nviews: { rotate: 3 }\n");
  await writeFile(pathOf("not-json.json"), '{"modelTopology": oh dear');
  store = await storeWithTinyBackbone(folder);
  await writeTinyBackbone(pathOf("tiny-backbone"));
  await cp(pathOf("tiny-backbone"), pathOf("truncated"), { recursive: true });
  const weights = await readFile(pathOf("truncated/weights.bin"));
  await writeFile(pathOf("truncated/weights.bin"), weights.subarray(0, weights.length - 100));
  deadPort = await freePort();
  redis = await startRedisServer({ password: "right" });
  s3 = await startS3Server();
  s3.createBucket("there");
  const done = ["train", dataset, "--store", store, "--run", "done", ...quick];
  await trommelJson(done);
  await trommelJson(["score", dataset, "--store", store, "--model", "done", "--output", pathOf("taken")]);
  // Queued where nobody serves, it stays unfinished.
  const queued = done.slice(0, -2).map((arg) => (arg === "done" ? "unfinished" : arg));
  await trommelJson([...queued, "--redis", redis.url(), "--no-follow"]);
});

after(async () => {
  await redis.stop();
  await s3.stop();
});

function refusals(): Refusal[] {
  let runs = 0;
  const train = (where: string, ...more: string[]) => {
    runs += 1;
    return ["train", where, "--run", `bad-${runs}`, ...quick, ...more];
  };
  const score = (...more: string[]) => ["score", dataset, ...more];
  const load = (source: string, ...more: string[]) => [
    "backbone",
    "import",
    source,
    "--name",
    "other",
    ...more,
  ];
  const model = pathOf("tiny-backbone/model.json");
  const deadS3 = { ...s3.env, AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${deadPort}` };
  const noGpu = !existsSync("/dev/nvidia0");
  const noGraphics = noGpu && !existsSync("/dev/dri") && process.env["VK_DRIVER_FILES"] === undefined;
  return [
    {
      name: "workers' flags where a cluster is given",
      args: train(dataset, "--device", "cpu", "--redis", redis.url()),
      code: "invalid-argument",
      says: [/--workers/, /--device/],
    },
    {
      name: "leaving a run to a cluster that ends with the command",
      args: train(dataset, "--no-follow"),
      code: "invalid-argument",
      says: [/--no-follow/],
    },
    {
      name: "a local cluster on a Redis that is there",
      args: ["up", "--redis", redis.url()],
      code: "invalid-argument",
      says: [/--redis/],
    },
    {
      name: "an empty prefix",
      args: train(pathOf("empty")),
      code: "bad-dataset",
      says: [/\/empty/, /<prefix>\/<class>\/<picture>/],
      planned: true,
    },
    { name: "a missing prefix", args: train(pathOf("nowhere")), code: "not-found", says: [/nowhere/] },
    {
      name: "a class with one image",
      args: train(pathOf("one-image")),
      code: "bad-dataset",
      says: [/"lonely"/, /Add images or remove/],
      planned: true,
    },
    {
      name: "a backbone that is not there",
      args: ["train", dataset, "--backbone", "resnet"],
      code: "not-found",
      says: [/resnet/, /tiny@/, /backbone import/],
    },
    {
      name: "no backbone at all",
      args: ["train", dataset],
      code: "invalid-argument",
      says: [/--backbone/],
    },
    {
      name: "an unknown field in a recipe file",
      args: ["train", dataset, "--recipe", pathOf("unknown-field.yaml")],
      code: "invalid-argument",
      says: [/views/, /rotate/],
    },
    {
      name: "an unknown field by --set",
      args: train(dataset, "--set", "views.rotate=3"),
      code: "invalid-argument",
      says: [/views/, /rotate/],
    },
    {
      name: "an unknown head",
      args: train(dataset, "--head", "forest"),
      code: "invalid-argument",
      says: [/head/, /se|linear|mlp/],
    },
    {
      name: "a share above one",
      args: train(dataset, "--validation", "1.5"),
      code: "invalid-argument",
      says: [/validation\.fraction/],
    },
    {
      name: "a run id with blanks",
      args: ["train", dataset, ...quick, "--run", "My Run"],
      code: "invalid-argument",
      says: [/My Run/, /a-z/],
    },
    {
      name: "a run id of another configuration",
      args: ["train", dataset, ...quick, "--run", "done", "--seed", "7"],
      code: "conflict",
      says: [/done/, /seed/, /--run/],
    },
    {
      name: "CUDA without a GPU",
      args: train(dataset, "--device", "cuda"),
      code: "device-unavailable",
      says: [/cuda/i],
      starts: true,
      skip: !noGpu,
    },
    {
      name: "WebGPU without one",
      args: train(dataset, "--device", "webgpu"),
      code: "device-unavailable",
      says: [/webgpu/i],
      starts: true,
      skip: !noGraphics,
    },
    {
      name: "a Redis that is not there",
      args: train(dataset, "--redis", `redis://:secret@127.0.0.1:${deadPort}`),
      code: "unavailable",
      says: [new RegExp(`127\\.0\\.0\\.1:${deadPort}`), /--redis/],
    },
    {
      name: "a wrong Redis password",
      args: train(dataset, "--redis", `redis://:wrong@127.0.0.1:${redis.port}`),
      code: "forbidden",
      says: [new RegExp(`127\\.0\\.0\\.1:${redis.port}`), /password/],
    },
    {
      name: "a Redis URL that is none",
      args: train(dataset, "--redis", "localhost:6379"),
      code: "invalid-argument",
      says: [/redis:\/\//],
    },
    {
      name: "an S3 server that is not there",
      args: train("s3://there/pictures"),
      env: deadS3,
      code: "unavailable",
      says: [new RegExp(String(deadPort))],
    },
    {
      name: "wrong S3 credentials",
      args: train("s3://there/pictures"),
      env: { ...s3.env, AWS_SECRET_ACCESS_KEY: "wrong" },
      code: "forbidden",
      says: [/there/],
    },
    {
      name: "no S3 credentials",
      args: train("s3://there/pictures"),
      env: { AWS_ENDPOINT_URL_S3: s3.endpoint, AWS_REGION: "us-east-1" },
      code: "forbidden",
      says: [/credentials|AWS_ACCESS_KEY_ID/],
    },
    {
      name: "a bucket that is not there",
      args: train("s3://absent/pictures"),
      env: s3.env,
      code: "not-found",
      says: [/absent/],
    },
    {
      name: "a store in a bucket that is not there",
      args: ["status", "--store", "s3://absent/store"],
      env: s3.env,
      code: "not-found",
      says: [/absent/],
    },
    {
      name: "the model of an unfinished run",
      args: score("--model", "unfinished", "--output", pathOf("out")),
      code: "not-found",
      says: [/unfinished/, /not complete/, /trommel status unfinished/],
    },
    {
      name: "an unknown model",
      args: score("--model", "nobody", "--output", pathOf("out")),
      code: "not-found",
      says: [/nobody/, /--model/],
    },
    {
      name: "an output that holds another scoring",
      args: score("--model", "done", "--output", pathOf("taken"), "--top", "1"),
      code: "conflict",
      says: [/taken/, /--output/],
    },
    {
      name: "an output inside what is scored",
      args: score("--model", "done", "--output", join(dataset, "out")),
      code: "invalid-argument",
      says: [/labelled\/out/, /--output/],
    },
    {
      name: "more labels than there are",
      args: score("--model", "done", "--output", pathOf("out"), "--top", "9"),
      code: "invalid-argument",
      says: [/9 labels/, /has 2/, /--top/],
    },
    { name: "an unknown run", args: ["resume", "nobody"], code: "not-found", says: [/nobody/, /done/] },
    { name: "a worker without Redis", args: ["worker"], code: "invalid-argument", says: [/--redis/] },
    {
      name: "a normalisation that is none",
      args: load(model, "--normalize", "caffe"),
      code: "invalid-argument",
      says: [/caffe/, /torch/],
    },
    {
      name: "a model.json that is not JSON",
      args: load(pathOf("not-json.json")),
      code: "corrupt",
      says: [/JSON/],
    },
    {
      name: "weights that end early",
      args: load(pathOf("truncated/model.json")),
      code: "corrupt",
      says: [/weights\.bin|bytes/],
    },
    {
      name: "a layer that the network has not",
      args: load(model, "--output", "no_such_layer"),
      code: "not-found",
      says: [/no_such_layer/],
    },
    {
      name: "a model that is not there",
      args: load(pathOf("nowhere/model.json")),
      code: "not-found",
      says: [/nowhere/],
    },
    {
      name: "https without a hash",
      args: load("https://127.0.0.1/model.json"),
      code: "invalid-argument",
      says: [/sha256/],
    },
    {
      name: "a name that is none",
      args: ["backbone", "import", model, "--name", "No Name"],
      code: "invalid-argument",
      says: [/No Name/],
    },
  ];
}

const secrets = /secret|trommel-test-secret|:wrong@|:right@/;

/**
 * Runs a command in this process, or in one of its own where it starts workers, whose lines on stderr count too, and where it
 * needs variables of the AWS SDK. Those prove the streams and the exit code of the process.
 */
function run({ args, env, planned, starts }: Refusal): Promise<CliResult> {
  const options = { cwd: folder, env: { TROMMEL_STORE: store, ...env } };
  const needsProcess = env !== undefined || planned === true || starts === true;
  const command = [...args, "--json"];
  return needsProcess ? trommel(command, { ...options, timeoutMs }) : runInProcess(command, options);
}

async function checkRefused(refusal: Refusal): Promise<void> {
  const { args, code, says, planned, starts } = refusal;
  const before = await fileHashes(store);
  const result = await run(refusal);
  assert.ok(result.code === 1 || result.code === 2, `exit code ${result.code}: ${result.stderr}`);
  const { error } = onlyJsonObject(result.stdout) as { error: { code: string; message: string } };
  assert.equal(error.code, code, error.message);
  const reported = result.stderr.split("\n").filter((line) => line.startsWith("trommel: "));
  assert.deepEqual(reported, [`trommel: ${error.message}`]);
  const works = planned === true || starts === true || args[0] === "backbone";
  if (!works) assert.equal(result.stderr.trimEnd(), reported[0], "and nothing else");
  for (const pattern of says) assert.match(error.message, pattern);
  assert.match(error.message, /^cannot /);
  assert.doesNotMatch(result.stdout + result.stderr, secrets);
  const left = await fileHashes(store);
  if (planned === true)
    for (const file of left.keys()) if (/^runs\/bad-\d+\//.test(file)) before.set(file, left.get(file) ?? "");
  assertSameFiles(left, before);
  const files = await filesBelow(join(store, "runs"));
  assert.deepEqual(
    files.filter((file) => /^bad-.*(bundle|head|projection)/.test(file)),
    [],
  );
}

describe("a command that cannot succeed says so in one line and writes nothing", () => {
  it("in every case", async (t) => {
    for (const refusal of refusals()) {
      await t.test(refusal.name, { skip: refusal.skip ?? false }, () => checkRefused(refusal));
    }
  });

  it("flags that the command line itself refuses", async () => {
    for (const [args, value] of [
      [["train", dataset, "--shard-size", "many"], "many"],
      [
        ["score", dataset, "--model", "done", "--output", "x", "--format", "csv,xml"],
        "jsonl, csv, result, kaggle",
      ],
      [["train", dataset, "--no-such-flag"], "--no-such-flag"],
      [["score", dataset, "--model", "done"], "--output"],
      [["train", dataset, "--workers", "999"], "999"],
      [["worker", "--batch", "100000"], "--batch"],
    ] as const) {
      await checkFlag((command) => runInProcess(command, { cwd: folder }), args, value);
    }
    await checkFlag(
      (command) => trommel(command, { cwd: folder, timeoutMs }),
      ["train", "--no-flag"],
      "--no-flag",
    );
  });
});

/** A flag that is refused, for people and with --json. */
async function checkFlag(
  runCommand: (args: readonly string[]) => Promise<CliResult>,
  args: readonly string[],
  value: string,
): Promise<void> {
  const { code, stderr, stdout } = await runCommand(args);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.ok(stderr.includes(value), stderr);
  const asJson = await runCommand([...args, "--json"]);
  const { error } = onlyJsonObject(asJson.stdout) as { error: { code: string } };
  assert.deepEqual([asJson.code, error.code], [2, "invalid-argument"]);
}
