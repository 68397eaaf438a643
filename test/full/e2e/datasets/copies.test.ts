import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import sharp from "sharp";
import { trommelJson } from "../../../support/process/cli.js";
import { writeFiles } from "../../../support/images/dataset.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";
import { storeWithTinyBackbone, tinyBackbone } from "../../../support/models/tiny-backbone.js";

const folder = await temporaryFolder("copies");
const dataset = join(folder, "noise");
const pictures = 30;
const copies = 4;
let store = "";

/** Noise of which no label can be told: bytes of a linear congruential generator. */
async function noise(seed: number): Promise<Buffer> {
  let state = (seed + 1) * 2654435761;
  const bytes = Uint8Array.from({ length: 64 * 64 * 3 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  return sharp(bytes, { raw: { width: 64, height: 64, channels: 3 } })
    .png()
    .toBuffer();
}

before(async () => {
  store = await storeWithTinyBackbone(folder);
  for (let picture = 0; picture < pictures; picture += 1) {
    const bytes = await noise(picture);
    const label = picture % 2 === 0 ? "a" : "b";
    const files = Array.from(
      { length: copies },
      (_, copy) => [`${label}/${copy}-${picture}.png`, bytes] as const,
    );
    await writeFiles(dataset, new Map(files));
  }
  await writeFiles(dataset, new Map([["b/also-0.png", await noise(0)]]));
});

describe("pictures of noise under several names", () => {
  it("are told no better than by chance by a single head, and two labels of one are named", async () => {
    const args = ["train", dataset, "--store", store, "--run", "noise", "--backbone", tinyBackbone.name];
    const single = ["--head", "linear", "--views", "1", "--epochs", "40", "--learning-rate", "0.05"];
    const rest = ["--validation", "0.5", "--energy", "0.999", "--step", "8", "--workers", "1"];
    const result = (await trommelJson([...args, ...single, ...rest], { timeoutMs: 240_000 })) as {
      readonly accuracy: number;
      readonly contradictions: unknown;
    };
    assert.ok(result.accuracy < 0.75, `accuracy ${result.accuracy}`);
    assert.deepEqual(result.contradictions, {
      sets: 1,
      images: copies + 1,
      examples: [
        [
          { key: "a/0-0.png", label: "a" },
          { key: "b/also-0.png", label: "b" },
          { key: "a/1-0.png", label: "a" },
          { key: "a/2-0.png", label: "a" },
        ],
      ],
    });
    const report = await readFile(join(store, "runs/noise/bundle/report.html"), "utf8");
    assert.match(report, /neither copies nor the members of a group are divided/);
    assert.match(report, /5 images in 1 set have the same bytes as others with another label/);
  });
});
