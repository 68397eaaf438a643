import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { isListedAs, ImageIdentities, contentIdentity } from "#common/artefacts/shards/image-identities";
import { sha256OfFile } from "#gpu-worker/image/decode/file-hash";

const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
const source = "s3://pictures/größe";
const entries = [
  { key: "a/ü.png", sizeBytes: 7, etag: "x" },
  { key: 'a/"quoted".png', sizeBytes: 2 ** 40, etag: "" },
  { key: "a/\u{1f600}.png", sizeBytes: 0, etag: "\n" },
];
/** Of one view, then of six: what is hashed has another length each time. */
const viewsOf = (count: number) => ({
  affine: Float32Array.from({ length: count * 6 }, (_, i) => Math.sin(i)),
  colour: Float32Array.from({ length: count * 12 }, (_, i) => i / 3),
});

describe("what rows are of", () => {
  it("is the hash of the file's hash and its views' numbers, and the first half of its listing's", async () => {
    const identities = ImageIdentities.blank(entries.length);
    for (const [image, entry] of entries.entries()) {
      const file = Buffer.from(`file ${image}`);
      const views = viewsOf(image === 1 ? 6 : 1);
      const expected = sha256(sha256(file), bytesOf(views.affine), bytesOf(views.colour));
      const content = await sha256OfFile(file);
      identities.setListed(image, source, entry);
      identities.setContent(image, content, views);
      assert.deepEqual(identities.content(image), expected);
      assert.deepEqual(contentIdentity(content, views), expected);
      assert.equal(identities.contentToken(image), expected.readUInt32LE(0));
      // RFC 8785 of an array of texts and numbers is what JSON.stringify writes.
      const listed = sha256(JSON.stringify([source, entry.key, entry.sizeBytes, entry.etag]));
      assert.deepEqual(identities.listed(image), listed.subarray(0, 16));
      assert.equal(identities.listedToken(image), listed.readUInt32LE(0));
      assert.ok(isListedAs(identities.listed(image), source, entry));
      assert.ok(!isListedAs(identities.listed(image), `${source}/`, entry));
    }
  });

  it("comes back from a marker as it went in, but for what is left out", () => {
    const identities = ImageIdentities.blank(entries.length);
    for (const [image, entry] of entries.entries()) {
      identities.setListed(image, source, entry);
      identities.copyContent(image, sha256(entry.key), undefined);
    }
    const kept = identities.without(new Set([1]));
    const read = ImageIdentities.unpack({ ok: 2, images: kept.pack() });
    assert.deepEqual(read?.content(1), sha256(entries[2]?.key ?? ""));
    assert.ok(isListedAs(read?.listed(0) ?? Buffer.alloc(0), source, entries[0]!));
    assert.equal(ImageIdentities.unpack({ ok: 3, images: kept.pack() }), undefined);
  });

  it("is of a large file as of a small one", async () => {
    const large = Buffer.alloc(8 * 2 ** 20 + 3, "x");
    assert.equal(await sha256OfFile(large), sha256(large).toString("latin1"));
  });
});
