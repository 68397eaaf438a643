import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { drawDataset } from "../../support/images/dataset.js";
import { twofoldBackbone } from "../../support/models/layers-backbone.js";
import { typedExample } from "./typed-example.js";
import { installedMebibytes, npmEnvironment, registryProblem } from "./npm.js";

/**
 * What a user gets: the packages as npm packs them, installed from their tarballs into an empty folder outside the
 * repository with an empty cache. Dependencies come from the registry that npm is configured with.
 */

const run = promisify(execFile);
const repository = resolve(fileURLToPath(new URL("../../../..", import.meta.url)));
const installedAtMostMib = 480;
const minutes = 60_000;

interface Packed {
  readonly name: string;
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

const unreachable = await registryProblem();

describe("the packed packages", { skip: unreachable, timeout: 20 * minutes }, async () => {
  const folder = await realpath(await temporaryFolder("packed"));
  const app = join(folder, "app");
  const env = npmEnvironment(join(folder, "cache"));
  const { version } = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as {
    version: string;
  };
  let packed: readonly Packed[] = [];
  const tarballs = (): string[] => packed.map(({ filename }) => join(folder, filename));

  const runIn = async (
    cwd: string,
    command: string,
    ...args: string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> => {
    try {
      return { code: 0, ...(await run(command, args, { cwd, env, maxBuffer: 2 ** 26 })) };
    } catch (thrown) {
      const { code, stdout, stderr } = thrown as { code: unknown; stdout: string; stderr: string };
      if (typeof code !== "number") throw thrown;
      return { code, stdout, stderr };
    }
  };

  before(async () => {
    const { stdout } = await run("npm", ["pack", "--workspaces", "--json", "--pack-destination", folder], {
      cwd: repository,
      env,
      maxBuffer: 2 ** 26,
    });
    const listed = JSON.parse(stdout) as readonly Packed[] | Readonly<Record<string, Packed>>;
    packed = Object.values(listed);
    await mkdir(app);
    await writeFile(
      join(app, "package.json"),
      JSON.stringify({ name: "app", private: true, type: "module" }),
    );
    await run("npm", ["install", ...tarballs()], { cwd: app, env, maxBuffer: 2 ** 26 });
  });

  it("hold what is built, the licence and the notice, and neither sources nor maps", () => {
    assert.deepEqual(packed.map(({ name }) => name).sort(), [
      "@trommel/common",
      "@trommel/coordinator",
      "@trommel/gpu-worker",
      "trommel",
    ]);
    for (const { name, files } of packed) {
      const paths = files.map((file) => file.path);
      for (const wanted of ["LICENSE", "NOTICE", "README.md", "package.json"]) {
        assert.ok(paths.includes(wanted), `${name} has no ${wanted}`);
      }
      const superfluous = paths.filter(
        (path) =>
          /\.(map|tsbuildinfo)$|^src\//.test(path) || (path.endsWith(".ts") && !path.endsWith(".d.ts")),
      );
      assert.deepEqual(superfluous, [], name);
      const page = paths.filter((path) => path.startsWith("dist/dashboard/"));
      assert.equal(page.includes("dist/dashboard/index.html"), name === "trommel", name);
    }
  });

  it(`take less than ${installedAtMostMib} MiB installed`, async (t) => {
    const mebibytes = await installedMebibytes(join(app, "node_modules"));
    t.diagnostic(`installed: ${mebibytes.toFixed(0)} MiB`);
    assert.ok(mebibytes < installedAtMostMib, `${mebibytes.toFixed(0)} MiB`);
  });

  it("give npx trommel --version, without a warning", async () => {
    const { code, stdout, stderr } = await runIn(app, "npx", "trommel", "--version");
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${version}\n`, stderr: "" });
  });

  it("say in one line what to install before a Keras model can be checked", async () => {
    const { code, stderr } = await runIn(
      app,
      ...["npx", "trommel", "backbone", "random", "--arch", "mobilenet-v1-0.25", "--name", "tiny"],
    );
    assert.notEqual(code, 0);
    assert.match(
      stderr,
      /^[^\n]*cannot make a random backbone: [^\n]*@tensorflow\/tfjs-core[^\n]* are not installed\. Run "npm install @tensorflow\/tfjs-core@[^\n]*" where Trommel is installed\n$/,
    );
  });

  it("train and score from a typed program, and read no file of the repository", async () => {
    await writeFile(join(app, "example.ts"), typedExample);
    await writeFile(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions: strictOptions }));
    const { model } = await twofoldBackbone(64, 32);
    await writeFile(join(app, "encoder.onnx"), model);
    for (const [prefix, range] of [
      ["photos", { to: 12 }],
      ["new", { from: 12, to: 15 }],
    ] as const) {
      for (const [key, bytes] of await drawDataset(["glass", "metal", "paper"], range)) {
        await mkdir(join(app, prefix, key, ".."), { recursive: true });
        await writeFile(join(app, prefix, key), bytes);
      }
    }
    await run("npm", ["install", "--no-save", "@types/node@20"], { cwd: app, env, maxBuffer: 2 ** 26 });
    const compiled = await runIn(app, process.execPath, join(repository, "node_modules/typescript/bin/tsc"));
    assert.equal(compiled.code, 0, compiled.stdout);

    // Node.js writes here which scripts each process and thread has loaded.
    const loadedFolder = join(folder, "loaded");
    const { stdout } = await run(process.execPath, ["example.js"], {
      cwd: app,
      env: { ...env, NODE_V8_COVERAGE: loadedFolder },
      maxBuffer: 2 ** 26,
    });
    const result = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Readonly<Record<string, unknown>>;
    assert.equal(result["scored"], 9);
    assert.equal(result["refused"], "not-found");
    assert.ok(["glass", "metal", "paper"].includes(String(result["label"])), stdout);
    assert.ok(Number(result["probability"]) > 1 / 3, stdout);
    assert.ok(Number(result["stages"]) > 2, stdout);

    const loaded = new Set<string>();
    for (const name of await readdir(loadedFolder)) {
      const report = JSON.parse(await readFile(join(loadedFolder, name), "utf8")) as {
        readonly result: readonly { readonly url: string }[];
      };
      for (const { url } of report.result) if (url.startsWith("file:")) loaded.add(fileURLToPath(url));
    }
    assert.ok([...loaded].some((file) => file.includes("@trommel/gpu-worker/dist/")));
    assert.deepEqual(
      [...loaded].filter((file) => !file.startsWith(`${app}/`)),
      [],
    );
  });

  it("say in one line what is missing if the worker was left out", async () => {
    // As `npm install --omit=optional` leaves it.
    await rm(join(app, "node_modules/@trommel/gpu-worker"), { recursive: true });
    const { code, stderr } = await runIn(app, "npx", "trommel", "backbone", "catalogue");
    assert.notEqual(code, 0);
    assert.match(
      stderr,
      /^[^\n]*cannot load the worker: the package @trommel\/gpu-worker is not installed here\. [^\n]*\n$/,
    );
  });
});

const strictOptions = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  target: "ES2022",
  lib: ["ES2022", "ESNext.Disposable"],
  module: "NodeNext",
  types: ["node"],
  skipLibCheck: true,
};
