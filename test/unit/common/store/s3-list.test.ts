import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listBucket, type BucketListing } from "#common/store/s3/s3-list";
import { S3Retries } from "#common/store/s3/s3-retry";

/** A bucket of twelve keys that answers with four a page. */
function smallPages() {
  const keys = Array.from({ length: 12 }, (_, index) => `${String(index).padStart(2, "0")}.jpg`);
  const tokens: (string | undefined)[] = [];
  const send = ({ input }: { readonly input: { readonly ContinuationToken?: string } }) => {
    tokens.push(input.ContinuationToken);
    const from = Number(input.ContinuationToken ?? 0);
    const page = keys.slice(from, from + 4);
    const more = from + 4 < keys.length;
    return Promise.resolve({
      Contents: page.map((Key) => ({ Key, Size: 1, ETag: '"etag"' })),
      ...{ KeyCount: page.length, IsTruncated: more },
      ...(more ? { NextContinuationToken: String(from + 4) } : {}),
    });
  };
  const client = { send } as unknown as BucketListing["client"];
  const retries = new S3Retries({ maxAttempts: 1 });
  const rest = { bucket: "b", keyRoot: "", prefix: "", startAfter: "", withUnusable: false };
  const listing = listBucket({ client, retries, ...rest, onNotice: () => undefined });
  return { keys, tokens, listing };
}

describe("the pages of a bucket's listing", () => {
  it("come one ahead of the work, and not for who reads a few keys", async () => {
    const { keys, tokens, listing } = smallPages();
    await listing.next();
    await listing.next();
    assert.deepEqual(tokens, [undefined]);
    await listing.next();
    assert.deepEqual(tokens, [undefined, "4"]);
    const rest: string[] = [];
    for await (const { key } of listing) rest.push(key);
    assert.deepEqual(rest, keys.slice(3));
    assert.deepEqual(tokens, [undefined, "4", "8"]);
  });

  it("are asked for no more once the reader stops", async () => {
    const { tokens, listing } = smallPages();
    for await (const { key } of listing) if (key === "02.jpg") break;
    assert.deepEqual(tokens, [undefined, "4"]);
  });
});
