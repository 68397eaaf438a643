import assert from "node:assert/strict";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { bundleFiles, bundleManifest, type Ledger, openStore, sha256Hex } from "@trommel/common";
import { scoreRow } from "#common/artefacts/results/bundle";
import { filesBelow } from "../../../support/files/file-hashes.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { jsonInProcess, trommelJson } from "../../../support/process/cli.js";
import { withVariables } from "../../../support/process/variables.js";
import { type S3Server, startS3Server } from "../../../support/servers/s3-server.js";

/** See test/stores/2026-11-28/README.md: what an earlier version wrote, and how. */
const kept = fileURLToPath(new URL("../../../../stores/2026-11-28/bucket/", import.meta.url));
const bucket = "trommel-store";
const scoring = "score-4e76bf79deb1";
/** Another CPU may round the last digits of a probability differently. */
const tolerance = 1e-6;
const folder = await temporaryFolder("old-store");

interface Shown {
  readonly id: string;
  readonly phase: string;
  readonly ledger: Ledger;
  readonly labels?: readonly string[];
  readonly extraction?: { readonly extracted: number; readonly reused: number };
}

let server: S3Server;
let restore: () => void;

before(async () => {
  server = await startS3Server();
  restore = withVariables(server.env);
  server.createBucket(bucket);
  for (const file of await filesBelow(kept)) server.putObject(bucket, file, await readFile(join(kept, file)));
});
after(async () => {
  restore();
  await server.stop();
});

const keptText = (file: string): Promise<string> => readFile(join(kept, file), "utf8");
const keptJson = async (file: string): Promise<unknown> => JSON.parse(await keptText(file));

const places = [
  { name: "in the bucket where it was made", makeRoot: () => Promise.resolve(`s3://${bucket}`) },
  {
    name: "copied into a folder",
    makeRoot: async () => {
      await cp(kept, folder, { recursive: true });
      return folder;
    },
  },
];

for (const { name, makeRoot } of places) {
  describe(`a store of 2026-11-28, ${name}`, () => {
    let root = "";
    before(async () => {
      root = await makeRoot();
    });
    const run = async (...args: readonly string[]): Promise<Shown> =>
      (await trommelJson(args, { env: { ...server.env, TROMMEL_STORE: `${root}/store` } })) as Shown;
    /** In this process, which has the AWS SDK's variables itself. */
    const show = async (...args: readonly string[]): Promise<Shown> =>
      (await jsonInProcess(args, { env: { TROMMEL_STORE: `${root}/store` } })) as Shown;
    const read = async (key: string): Promise<Buffer> => {
      const store = openStore(root);
      try {
        return Buffer.from(await store.get(key));
      } finally {
        store.close();
      }
    };

    it("shows its run and its scoring, complete and with the ledgers that they had", async () => {
      const { runs } = (await show("status")) as unknown as { runs: readonly Shown[] };
      assert.deepEqual(
        runs.map(({ id, phase }) => [id, phase]),
        [
          ["first", "complete"],
          [scoring, "complete"],
        ],
      );
      const first = await show("status", "first");
      assert.deepEqual(first.labels, ["glass", "metal", "paper"]);
      const { listed, ok, failed, failedByReason } = first.ledger;
      const before = (await keptJson("store/runs/first/ledger.json")) as Ledger;
      assert.deepEqual(
        { listed, ok, failed, failedByReason },
        {
          listed: before.listed,
          ok: before.ok,
          failed: before.failed,
          failedByReason: before.failedByReason,
        },
      );
      assert.deepEqual([listed, ok, failed], [41, 36, 5]);
    });

    it("lists the images that failed, with their reasons", async () => {
      for (const [id, prefix] of [
        ["first", "glass"],
        [scoring, "in"],
      ] as const) {
        const answer = JSON.stringify(await show("errors", id));
        for (const file of [
          "bad-empty.jpg",
          "bad-half.jpg",
          "bad-huge.png",
          "bad-text.jpg",
          "bad-vector.svg",
        ])
          assert.ok(answer.includes(`${prefix}/${file}`), `${answer} names ${file}`);
        for (const reason of ["empty", "truncated", "too-many-pixels", "not-an-image", "unsupported-format"])
          assert.ok(answer.includes(`"${reason}"`), `${answer} names ${reason}`);
      }
    });

    it("has a backbone and a bundle whose files are those of their manifests", async () => {
      const backbone = (await show("backbone", "show", "tiny")) as unknown as { modelSha256: string };
      const id = "tiny@895caf472045";
      assert.equal(backbone.modelSha256, sha256Hex(await read(`store/backbones/${id}/model.onnx`)));
      const base = "store/runs/first/bundle";
      const manifest = bundleManifest.parse(
        JSON.parse((await read(`${base}/${bundleFiles.manifest}`)).toString()),
      );
      assert.deepEqual(manifest.labels, ["glass", "metal", "paper"]);
      for (const [file, hash] of Object.entries(manifest.hashes))
        assert.equal(sha256Hex(await read(`${base}/${file}`)), hash, file);
    });

    it("does not give its features to a training of this version, which decodes by another rule", async () => {
      const recipe = [
        "--shard-size",
        "16",
        "--views",
        "3",
        "--head",
        "se",
        "--epochs",
        "3",
        "--learning-rate",
        "0.02",
      ];
      const svd = ["--energy", "0.999", "--step", "8", "--validation", "0.2", "--head", "linear"];
      const train = ["train", `${root}/pictures/labelled`, "--backbone", "tiny", "--run", "again"];
      const again = await run(...train, ...recipe, ...svd, "--workers", "1");
      assert.equal(again.phase, "complete");
      assert.deepEqual(again.extraction, { extracted: 36, reused: 0 });
    });

    it("scores the same images by its bundle to equal rows", async () => {
      const output = `${root}/scores-again`;
      const score = ["score", `${root}/pictures/unlabelled`, "--model", "first", "--output", output];
      const answer = await run(...score, "--format", "csv", "--shard-size", "8", "--workers", "1");
      assert.equal(answer.phase, "complete");
      for (const part of ["part-00000.jsonl", "part-00001.jsonl", "part-00002.jsonl"]) {
        const rows = rowsOf((await read(`scores-again/${part}`)).toString());
        assertEqualRows(rows, rowsOf(await keptText(`scores/${part}`)));
      }
      for (const file of ["errors.jsonl", "ledger.json", "counts.json"])
        assert.equal(
          (await read(`scores-again/${file}`)).toString(),
          // What this version says of a truncated file is the one difference.
          (await keptText(`scores/${file}`)).replace(
            "it ends before its picture does",
            "a part of its picture is missing",
          ),
          file,
        );
    });
  });
}

const rowsOf = (text: string) =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => scoreRow.parse(JSON.parse(line)));

/** The same keys and labels in the same order, and probabilities within the tolerance. */
function assertEqualRows(rows: ReturnType<typeof rowsOf>, expected: ReturnType<typeof rowsOf>): void {
  const labels = (list: typeof rows) =>
    list.map(({ key, label, top }) => [key, label, ...top.map((likely) => likely.label)]);
  assert.deepEqual(labels(rows), labels(expected));
  for (const [index, { key, top }] of rows.entries())
    for (const [place, { probability }] of top.entries()) {
      const was = expected[index]?.top[place]?.probability ?? NaN;
      assert.ok(Math.abs(probability - was) <= tolerance, `${key}: ${probability}, and ${was} before`);
    }
}
