import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import type { Mistake } from "@trommel/common/artefacts";
import sharp from "sharp";
import { gallery } from "#gpu-worker/gallery/gallery";

const width = 640;
const height = 320;

/** Left half red, right half blue. */
async function halves(): Promise<Buffer> {
  const blue = { width: width / 2, height, channels: 3, background: "#0000ff" } as const;
  const canvas = sharp({ create: { width, height, channels: 3, background: "#ff0000" } });
  return canvas
    .composite([{ input: { create: blue }, left: width / 2, top: 0 }])
    .png()
    .toBuffer();
}

/** What compresses worst. */
async function noise(): Promise<Buffer> {
  let state = 1;
  const pixels = Uint8Array.from({ length: 400 * 400 * 3 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  return sharp(pixels, { raw: { width: 400, height: 400, channels: 3 } })
    .png()
    .toBuffer();
}

function mistake(key: string, probability = 0.9): Mistake {
  return { key, label: "glass", predicted: "paper", probability };
}

function pictures(html: string): Buffer[] {
  return [...html.matchAll(/src="data:image\/webp;base64,([^"]*)"/g)].map(([, text = ""]) =>
    Buffer.from(text, "base64"),
  );
}

describe("the gallery of mistakes", () => {
  it("shows each picture whole, on grey where it is not square", async () => {
    const [picture] = pictures(await gallery([mistake("a.png")], halves));
    const { data, info } = await sharp(picture).raw().toBuffer({ resolveWithObject: true });
    assert.deepEqual([info.width, info.height], [160, 160]);
    const at = (x: number, y: number): number[] => [
      ...data.subarray((y * 160 + x) * 3, (y * 160 + x) * 3 + 3),
    ];
    const near = (found: number[], wanted: number[]): void => {
      for (const [i, value] of found.entries())
        assert.ok(Math.abs(value - (wanted[i] ?? 0)) < 25, `${found.join()} is not ${wanted.join()}`);
    };
    near(at(30, 80), [255, 0, 0]);
    near(at(130, 80), [0, 0, 255]);
    near(at(80, 10), [138, 148, 158]);
  });

  it("says what a picture is, what it was taken for and how surely", async () => {
    const html = await gallery([mistake("glass/1.png", 0.876)], halves);
    assert.match(html, /<b>glass<\/b>, taken for <b>paper<\/b> with 87\.6 %/);
    assert.match(html, /glass\/1\.png/);
  });

  it("escapes names and keys", async () => {
    const hostile = `<script>"&'`;
    const html = await gallery(
      [{ key: hostile, label: hostile, predicted: hostile, probability: 1 }],
      halves,
    );
    assert.ok(!html.includes("<script>") && !html.includes(`"&'`));
  });

  it("takes at most 24 pictures and 300 KB, whatever they show", async () => {
    const bytes = await noise();
    const asked: string[] = [];
    const mistakes = Array.from({ length: 30 }, (_, i) => mistake(`${i}.png`));
    const html = await gallery(mistakes, (key) => {
      asked.push(key);
      return Promise.resolve(bytes);
    });
    assert.equal(pictures(html).length, 24);
    assert.equal(asked.length, 24);
    assert.ok(html.length < 300_000, `${html.length} bytes`);
  });

  it("shows a frame for a picture that cannot be read, and the others", async () => {
    const good = await halves();
    const html = await gallery([mistake("gone.png"), mistake("broken.png"), mistake("good.png")], (key) => {
      if (key === "gone.png") throw new TrommelError("not-found", "cannot read it: it is gone");
      return Promise.resolve(key === "good.png" ? good : Buffer.from("no picture"));
    });
    assert.equal(pictures(html).length, 1);
    assert.equal(html.match(/class="gone"/g)?.length, 2);
  });

  it("asks a store that does not answer once", async () => {
    let asked = 0;
    const html = await gallery([mistake("a.png"), mistake("b.png")], () => {
      asked += 1;
      return Promise.reject(
        new TrommelError("unavailable", "cannot read it: no answer", { retryable: true }),
      );
    });
    assert.equal(asked, 1);
    assert.equal(html.match(/class="gone"/g)?.length, 2);
  });

  it("is the same twice, and nothing without mistakes", async () => {
    const mistakes = [mistake("a.png"), mistake("b.png", 0.5)];
    assert.equal(await gallery(mistakes, halves), await gallery(mistakes, halves));
    assert.equal(await gallery([], halves), "");
  });
});
