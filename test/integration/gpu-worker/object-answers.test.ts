import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openStore, ReleaseStack, TrommelError, type ObjectStore, type ShardEntry } from "@trommel/common";
import { imageSource } from "#gpu-worker/image/read/image-source";
import type { ResolvedDecodeRecipe } from "#gpu-worker/image/decode/decode-image";
import { streamImages, type ShardImage } from "#gpu-worker/image/read/image-stream";
import type { DeviceStageContext } from "#gpu-worker/stages/context";
import { runBatches } from "#gpu-worker/stages/images/run-batches";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";
import { drawTexture } from "../../support/images/dataset.js";
import { startFaultyS3, type Fault, type FaultyS3 } from "../../support/servers/faulty-s3.js";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { withVariables } from "../../support/process/variables.js";

/** What a store answers about one object, while it serves the others: that object's reason, and the end of nothing. */

const releases = new ReleaseStack();
const refused = "pictures/3.png";
const decode: ResolvedDecodeRecipe = {
  ...{ side: 16, fit: "squash", kernel: "lanczos3", background: [255, 255, 255] },
  ...{ maxBytes: 1 << 20, maxPixels: 1_000_000 },
};
let s3: S3Server;
let faulty: FaultyS3;
let store: ObjectStore;

before(async () => {
  s3 = await startS3Server();
  releases.add("s3", () => s3.stop());
  s3.createBucket("images");
  const png = await drawTexture(0, 2, 1);
  for (let i = 0; i < 6; i += 1) s3.putObject("images", `pictures/${i}.png`, png);
  faulty = await startFaultyS3(s3.endpoint);
  releases.add("proxy", () => faulty.stop());
  // The SDK reads them at the first request.
  releases.add("variables", withVariables({ ...s3.env, AWS_ENDPOINT_URL_S3: faulty.endpoint }));
  store = openStore("s3://images", { s3: { firstRetryDelayMs: 1 } });
  releases.add("store", () => store.close());
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

async function readAll(fault: (key: string, method: string) => Fault | undefined): Promise<ShardImage[]> {
  const entries: ShardEntry[] = [];
  faulty.rule = () => undefined;
  for await (const { key, sizeBytes, etag } of store.list("")) entries.push({ key, sizeBytes, etag });
  faulty.rule = ({ url, method }) => fault(url.split("?")[0]?.replace("/images/", "") ?? "", method);
  const images: ShardImage[] = [];
  const stream = streamImages({
    ...imageSource(store),
    entries,
    decode,
    window: 4,
    bounds: { pausesMs: [1, 1] },
    signal: new AbortController().signal,
  });
  for await (const image of stream) images.push(image);
  return images;
}

const glacier = "<StorageClass>GLACIER</StorageClass>";
const tier = "<StorageClass>INTELLIGENT_TIERING</StorageClass><AccessTier>ARCHIVE_ACCESS</AccessTier>";
/** Codes and statuses from the S3 API reference's list of error responses. */
const answers: readonly (readonly [
  status: number,
  code: string,
  reason: string,
  said: RegExp,
  more?: string,
])[] = [
  [400, "InvalidRequest", "store-refused", /^the store refused it: InvalidRequest \(status 400\)$/],
  [400, "KMS.DisabledException", "store-refused", /KMS\.DisabledException \(status 400\)/],
  [403, "KMSAccessDenied", "forbidden", /KMSAccessDenied \(status 403\)/],
  [400, "BadDigest", "store-refused", /BadDigest \(status 400\)/],
  [
    403,
    "AccessDenied",
    "forbidden",
    /^the store refused it when its turn came: AccessDenied \(status 403\)$/,
  ],
  [403, "InvalidObjectState", "archived", /storage class GLACIER, .*\(InvalidObjectState\)$/, glacier],
  [403, "InvalidObjectState", "archived", /INTELLIGENT_TIERING \(ARCHIVE_ACCESS\)/, tier],
  [404, "NoSuchKey", "not-found", /gone/],
  [405, "MethodNotAllowed", "store-refused", /MethodNotAllowed \(status 405\)/],
  [412, "PreconditionFailed", "store-refused", /PreconditionFailed/],
  [413, "EntityTooLarge", "store-refused", /EntityTooLarge/],
  [416, "InvalidRange", "store-refused", /InvalidRange/],
  [451, "UnavailableForLegalReasons", "store-refused", /status 451/],
];

describe("an object that the store does not give, while it gives the others", () => {
  for (const [status, code, reason, said, more = ""] of answers) {
    it(`is a failed image after ${status} ${code} ${more}`, async () => {
      const images = await readAll((key, method) =>
        key === refused && method === "GET" ? { kind: "answer", status, code, more } : undefined,
      );
      const failed = images.filter((image) => !image.ok);
      assert.equal(images.length, 6);
      assert.deepEqual(
        failed.map((image) => [image.key, image.reason, image.tries]),
        [[refused, reason, 1]],
      );
      assert.match(failed[0]?.detail ?? "", said);
    });
  }

  it("names the storage class that the object's head has, where the answer does not", async () => {
    const images = await readAll((key, method) => {
      if (key !== refused) return undefined;
      if (method === "GET") return { kind: "answer", status: 403, code: "InvalidObjectState" };
      return { kind: "body", body: "", headers: { "x-amz-storage-class": "DEEP_ARCHIVE" } };
    });
    const [failed] = images.filter((image) => !image.ok);
    assert.match(failed?.detail ?? "", /storage class DEEP_ARCHIVE,/);
  });

  it("is a failed image if its bytes have another checksum each time, also if half of the objects are so", async () => {
    // The CRC-32 of the empty text.
    const headers = { "x-amz-checksum-crc32": "AAAAAA==" };
    const images = await readAll((key) =>
      /[135]\.png$/.test(key) ? { kind: "body", body: "other bytes", headers } : undefined,
    );
    const failed = images.filter((image) => !image.ok);
    assert.deepEqual(
      failed.map((image) => [image.reason, image.tries]),
      Array(3).fill(["unreadable", 3]),
    );
  });
});

describe("a store that gives nothing", () => {
  const refuse =
    (status: number, code: string) =>
    ({ url, method }: { url: string; method: string }): Fault | undefined =>
      method === "GET" && /\.png/.test(url) ? { kind: "answer", status, code } : undefined;

  for (const [status, code] of [
    [403, "AccessDenied"],
    [400, "InvalidRequest"],
    [400, "KMS.DisabledException"],
  ] as const) {
    it(`is at fault if it answers ${code} for every object, and not the objects`, async () => {
      faulty.rule = () => undefined;
      const entries: ShardEntry[] = [];
      for await (const { key, sizeBytes, etag } of store.list("")) entries.push({ key, sizeBytes, etag });
      const sources = new SourceStores();
      faulty.rule = refuse(status, code);
      const shard = runBatches({
        ...{ entries, source: "s3://images", decode, batchSize: 2, run: () => Promise.resolve() },
        context: {
          device: { sessionCount: 1 },
          sources,
          signal: new AbortController().signal,
          onImages: () => undefined,
        } as unknown as DeviceStageContext,
      });
      await assert.rejects(shard, (error: unknown) => {
        assert.ok(error instanceof TrommelError);
        assert.deepEqual([error.code, error.retryable], ["forbidden", true]);
        assert.match(error.message, /lists its objects and gives none/);
        assert.ok(error.message.includes(code), error.message);
        return true;
      });
    });
  }

  it("is not at fault if its objects are archived, or once it has given one", async () => {
    const another = openStore("s3://images/pictures");
    releases.add("another", () => another.close());
    const source = imageSource(another);
    faulty.rule = refuse(403, "InvalidObjectState");
    await source.requireDelivery();
    faulty.rule = () => undefined;
    await source.requireDelivery();
  });
});
