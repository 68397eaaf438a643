import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { loadClassifier, openTrommel, type BundleClassifier, type Trommel } from "#trommel/index";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

/** Programs in JavaScript have no compiler that refuses what they give. */

const folder = await temporaryFolder("given");
const trommel = await openTrommel({ store: join(folder, "store") });
after(() => trommel.close());
const stored = new URL("../../../../stores/2026-11-28/bucket/store/runs/first/bundle/", import.meta.url);
const bundle = stored.href;

/** The same object as a program without types sees it. */
type Untyped<T> = Record<keyof T, (...given: unknown[]) => Promise<unknown>>;
const untyped = trommel as unknown as Untyped<Trommel>;

function refused(call: Promise<unknown>, message: RegExp): Promise<void> {
  return assert.rejects(call, { name: "TrommelError", code: "invalid-argument", message });
}

describe("a call that lacks what it needs", () => {
  it("says what is missing and what to give", async () => {
    await refused(
      untyped.score("photos"),
      /cannot score: options is undefined. Give an object with model and/,
    );
    await refused(untyped.score("photos", {}), /cannot score: model is undefined. Give a finished run/);
    await refused(
      untyped.score("photos", { model: {} }),
      /cannot score: model is an object. Give a finished run/,
    );
    await refused(untyped.score(undefined, { model: "m" }), /prefix is undefined. Give a folder or s3/);
    await refused(untyped.score("photos", { model: "m" }), /output is undefined. Give a folder or s3/);
    await refused(untyped.predict("a.jpg", { model: "m" }), /files is "a.jpg". Give a list of paths/);
    await refused(untyped.predict([Buffer.of(1)], { model: "m" }), /files\[0\] is a Buffer. Give the path/);
    await refused(untyped.run(undefined), /id is undefined. Give the id/);
  });
});

describe("a scoring into the store", () => {
  it("is refused at its root and in its folders", async () => {
    const into = (output: string) =>
      trommel.score(join(folder, "photos"), { model: bundle, output: join(folder, "store", output) });
    await refused(into(""), /cannot score into .*: it is the root of the store. Choose another --output/);
    await refused(into("runs/first/scores"), /it is inside the folder runs\/ of the store/);
    await refused(into("scorings"), /it is inside the folder scorings\/ of the store/);
  });
});

describe("a classifier that is given no bytes", () => {
  it("says what an image is", async () => {
    await using loaded = await loadClassifier(bundle);
    const classifier = loaded as unknown as Untyped<BundleClassifier>;
    await refused(classifier.classify(Buffer.of(1)), /the images are not a list. Give classify\(\[bytes\]\)/);
    await refused(classifier.classify(["x.jpg"]), /cannot classify "x.jpg": an image is the bytes/);
    await refused(classifier.classifyOne(undefined), /a value of type undefined/);
  });
});
