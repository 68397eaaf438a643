import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { AnySchema } from "ajv";
import { manifestProblems, readManifests, readYaml, valuesProblems } from "../../infra/check-chart.js";
import { composeProblems, overlay, readCompose } from "../../infra/check-compose.js";
import { dockerfileProblems, isInContext } from "../../infra/check-dockerfile.js";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../..");
const read = async (file: string): Promise<string> => readFile(path.join(root, file), "utf8");

async function run(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ code: unknown; output: string }> {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { PATH: process.env["PATH"], ...environment },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  }
  const [code] = (await once(child, "close")) as [unknown];
  return { code, output };
}

describe("npm run check:infra", () => {
  it("finds nothing wrong with what is in infra/", async () => {
    const { code, output } = await run(["test/dist/infra/check-infra.js"]);
    assert.equal(code, 0, output);
    assert.equal(output.includes("FAIL"), false, output);
  });
});

describe("the compose check", () => {
  const broken: [string, (text: string) => string, RegExp][] = [
    ["an unknown key", (text) => text.replace("init: true", "inti: true"), /inti/],
    [
      "a replica count that is no number",
      (text) => text.replace("${TROMMEL_WORKERS:-2}", "two"),
      /replicas.*integer/,
    ],
    [
      "a missing service",
      (text) => text.replaceAll("    redis:\n      condition", "    reddis:\n      condition"),
      /reddis, which is no service/,
    ],
    ["an image without a tag", (text) => text.replace("redis:7.4.6-bookworm", "redis"), /no pinned image/],
    [
      "a missing volume",
      (text) => text.replace("- redis:/data", "- rediss:/data"),
      /rediss, which is no volume/,
    ],
    [
      "a wait for health that is never told",
      (text) => text.replace(/ {4}healthcheck:\n {6}test: \[CMD, mc(.*\n){4}/, ""),
      /no healthcheck/,
    ],
    [
      "a process that may write anywhere",
      (text) => text.replace("  read_only: true\n", ""),
      /worker may write to its root filesystem/,
    ],
    [
      "a process that may gain privileges",
      (text) => text.replace("no-new-privileges:true", "x"),
      /privileges/,
    ],
    [
      "a port that others reach",
      (text) => text.replace("127.0.0.1:8470:8470", "8470:8470"),
      /dashboard publishes 8470:8470 to others/,
    ],
  ];
  for (const [what, edit, expected] of broken) {
    it(`finds ${what}`, async () => {
      const text = await read("infra/compose/compose.yaml");
      assert.notEqual(edit(text), text, "the edit must meet something");
      assert.match(composeProblems(readCompose(edit(text))).join("\n"), expected);
    });
  }
});

describe("the Dockerfile check", () => {
  const broken: [string, (text: string) => string, RegExp][] = [
    ["an unknown instruction", (text) => text.replace("WORKDIR", "WORKDIRR"), /WORKDIRR/],
    [
      "a base without a tag",
      (text) => text.replaceAll("node:22.21.1-bookworm-slim", "node"),
      /node is not pinned/,
    ],
    [
      "a source that is not in the context",
      (text) => text.replace("tsconfig.base.json", "tsconfig.bare.json"),
      /tsconfig.bare.json/,
    ],
    [
      "a workspace whose manifest is not copied",
      (text) => text.replace("COPY packages/trommel/package.json packages/trommel/\n", ""),
      /packages\/trommel\/package.json is not copied/,
    ],
    [
      "an entry point that does not exist",
      (text) => text.replace("packages/trommel/bin/trommel.js", "packages/coordinator/bin/trommel.js"),
      /the entry point packages\/coordinator\/bin\/trommel.js does not exist/,
    ],
    [
      "an entry point that is not copied",
      (text) => text.replace("COPY --from=build /app/packages packages\n", ""),
      /the last stage does not copy the entry point packages\/trommel\/bin\/trommel.js/,
    ],
    [
      "a stage that is not there",
      (text) => text.replace("--from=build", "--from=built"),
      /no stage is called built/,
    ],
    [
      "an image without the dashboard's page",
      (text) => text.replace(/ {4}&& .*vite build.*\n/, ""),
      /does not build the dashboard's page/,
    ],
    ["an image that runs as root", (text) => text.replace("USER node\n", ""), /runs as root/],
    [
      "an entry point that a shell would hold",
      (text) => text.replace(/ENTRYPOINT .*/, "ENTRYPOINT node x.js"),
      /exec form/,
    ],
    ["an image without a health check", (text) => text.replace(/HEALTHCHECK.*\n.*\n/, ""), /no HEALTHCHECK/],
  ];
  for (const [what, edit, expected] of broken) {
    it(`finds ${what}`, async () => {
      const text = await read("infra/docker/worker.Dockerfile");
      assert.notEqual(edit(text), text, "the edit must meet something");
      assert.match(dockerfileProblems(edit(text), root).join("\n"), expected);
    });
  }
});

describe("the build context", () => {
  it("holds what the images are built from, and nothing else", async () => {
    const dockerignore = await read(".dockerignore");
    for (const file of ["package-lock.json", "packages/trommel/src/index.ts", "infra/docker/check-redis.mjs"])
      assert.equal(isInContext(file, dockerignore), true, file);
    for (const name of ["index.html", "vite.config.js", "src/main.tsx", "public/icon.svg"])
      assert.equal(isInContext(`packages/trommel/dashboard/${name}`, dockerignore), true, name);
    for (const file of [
      "node_modules/a.js",
      "packages/trommel/dist/index.js",
      "test/a.ts",
      ".env",
      "x/package.json",
    ])
      assert.equal(isInContext(file, dockerignore), false, file);
  });
});

describe("the chart check", () => {
  const broken: [string, (text: string) => string, RegExp][] = [
    [
      "a field of the wrong type",
      (text) => text.replace("replicas: 1", "replicas: one"),
      /replicas must be integer/,
    ],
    [
      "a queue that is not watched",
      (text) => text.replace("trommel:score:wait", "trommel:score:waiting"),
      /it watches/,
    ],
    [
      "a scaler with nothing to scale",
      (text) => text.replace("    name: demo-trommel-worker\n  minReplica", "    name: other\n  minReplica"),
      /nothing to scale is called other/,
    ],
    [
      "a kind that it should not make",
      (text) => text.replace("kind: ConfigMap", "kind: ConfigMop"),
      /ConfigMop is no kind/,
    ],
    [
      "a service that leads nowhere",
      (text) => text.replace("targetPort: http", "targetPort: htttp"),
      /leads to the port htttp, which no container has/,
    ],
    [
      "a budget for pods that do not exist",
      (text) => text.replace(/(maxUnavailable.*\n(?:.*\n){4}.*component: )worker/, "$1wrker"),
      /PodDisruptionBudget demo-trommel-worker selects no pod/,
    ],
    [
      "a root filesystem that can be written",
      (text) => text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
      /may write to its root filesystem/,
    ],
    ["a pod that may run as root", (text) => text.replace("runAsUser: 1000", "runAsUser: 0"), /run as root/],
    ["a missing request", (text) => text.replace("cpu: 250m\n", "gpu: 1\n"), /requests no cpu/],
  ];
  for (const [what, edit, expected] of broken) {
    it(`finds ${what}`, async () => {
      const text = await read("test/golden/helm-chart/watched.yaml");
      assert.notEqual(edit(text), text, "the edit must meet something");
      assert.match(manifestProblems(readManifests(edit(text))).join("\n"), expected);
    });
  }

  it("refuses values that the chart cannot use", async () => {
    const schema = JSON.parse(await read("infra/helm/trommel/values.schema.json")) as AnySchema;
    const values = await readYaml(path.join(root, "infra/helm/trommel/values.yaml"));
    const wrong: [object, RegExp][] = [
      [{ scaling: { maxWorkers: 0 } }, /maxWorkers/],
      [{ redis: { address: "redis://redis:6379" } }, /redis\/address/],
      [{ wroker: {} }, /additional properties/],
      [{ worker: { maxUnavailable: 0 } }, /maxUnavailable/],
    ];
    assert.deepEqual(valuesProblems(values, schema), []);
    for (const [over, expected] of wrong)
      assert.match(valuesProblems(overlay(over, values), schema).join("\n"), expected);
  });

  it("sees that the GPU values put the workers on GPUs and the password into a URL whole", async () => {
    const worker = readManifests(await read("test/golden/helm-chart/gpu.yaml")).find(
      ({ metadata, kind }) => kind === "Deployment" && metadata.name.endsWith("worker"),
    );
    assert.match(JSON.stringify(worker), /"limits":\{"memory":"4Gi","nvidia.com\/gpu":1\}/);
    assert.match(JSON.stringify(worker), /"args":\["worker","--device","cuda"/);
    const secret = readManifests(await read("test/golden/helm-chart/default.yaml")).find(
      ({ kind }) => kind === "Secret",
    );
    const { "redis-url": url, "redis-password": password } = secret?.["stringData"] as Record<string, string>;
    assert.equal(decodeURIComponent(new URL(url ?? "").password), password);
  });
});

describe("the chart's dashboard and metrics", () => {
  const deployment = async (name: string, component: string): Promise<string> =>
    JSON.stringify(
      readManifests(await read(`test/golden/helm-chart/${name}.yaml`)).find(
        ({ kind, metadata }) => kind === "Deployment" && metadata.name.endsWith(component),
      ) ?? {},
    );
  const kinds = async (name: string): Promise<string[]> =>
    readManifests(await read(`test/golden/helm-chart/${name}.yaml`)).map(({ kind }) => kind);

  it("are absent unless they are asked for", async () => {
    assert.equal(await deployment("default", "dashboard"), "{}");
    const made = await kinds("default");
    assert.equal(made.includes("Service"), false);
    assert.equal(made.includes("PodMonitor"), false);
    assert.doesNotMatch(await deployment("default", "worker"), /metrics|prometheus/);
  });

  it("take the token from a Secret alone, and give the roots as flags", async () => {
    const pod = await deployment("watched", "dashboard");
    assert.match(pod, /"--token-file","\/token\/token"/);
    assert.match(pod, /"secretName":"our-token"/);
    assert.doesNotMatch(pod, /TROMMEL_TOKEN/);
    assert.match(pod, /"--root","s3:\/\/trommel\/incoming","--root","s3:\/\/trommel\/scores"/);
  });

  it("serve metrics at the port that annotations, or a PodMonitor, name", async () => {
    for (const component of ["worker", "coordinator"]) {
      const watched = await deployment("watched", component);
      assert.match(watched, /"prometheus.io\/port":"9464"/);
      assert.match(watched, /"--metrics","0.0.0.0:9464"/);
      assert.match(watched, /"livenessProbe":\{"httpGet":\{"path":"\/healthz","port":"metrics"\}/);
      const operators = await deployment("operators", component);
      assert.doesNotMatch(operators, /prometheus.io/);
      assert.match(operators, /"ports":\[\{"name":"metrics","containerPort":9000\}\]/);
    }
    assert.equal((await kinds("operators")).filter((kind) => kind === "PodMonitor").length, 1);
  });
});

describe("the images' health check", () => {
  it("fails with one line where Redis is not there or not named", async () => {
    for (const [url, expected] of [
      ["", /TROMMEL_REDIS_URL is not set/],
      ["redis://:hidden@127.0.0.1:1", /cannot check Redis/],
    ] as const) {
      const { code, output } = await run(["infra/docker/check-redis.mjs"], { TROMMEL_REDIS_URL: url });
      assert.equal(code, 1);
      assert.match(output, expected);
      assert.equal(output.includes("hidden"), false, "the password is printed");
    }
  });
});
