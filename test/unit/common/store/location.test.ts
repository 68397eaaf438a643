import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { locationOf, partInside, resolveLocation, splitLocation } from "#common/store/location";

describe("locations and the keys inside them", () => {
  const roots = ["file:///data/photos", "file:///", "s3://bucket", "s3://bucket/photos"];

  it("are joined and taken apart again, at the root of a disk or bucket too", () => {
    for (const root of roots) {
      assert.equal(resolveLocation(root), root);
      for (const key of ["glass/1.jpg", ".trommel", "a"]) {
        const location = locationOf(root, key);
        assert.equal(resolveLocation(location), location);
        assert.equal(partInside(root, location), key);
        assert.equal(partInside(location, root), undefined);
      }
      assert.equal(partInside(root, root), "");
    }
  });

  it("does not take a folder whose name begins alike for one inside", () => {
    assert.equal(partInside("s3://bucket/photos", "s3://bucket/photos-2/a"), undefined);
    assert.equal(partInside("file:///data/photos", "file:///data/photo"), undefined);
    assert.equal(partInside("s3://bucket", "s3://bucket2/a"), undefined);
  });
});

describe("the location of one object", () => {
  it("is that of its folder and its key there", () => {
    for (const [text, folder, key] of [
      ["/data/labels.csv", "/data", "labels.csv"],
      ["/labels.csv", "/", "labels.csv"],
      ["file:///data/a%20b/labels.csv", "/data/a b", "labels.csv"],
      ["s3://bucket/a/b/labels.csv", "s3://bucket/a/b", "labels.csv"],
      ["s3://bucket/labels.csv", "s3://bucket/", "labels.csv"],
      ["s3://bucket", "s3://bucket/", ""],
      ["/", "/", ""],
    ] as const)
      assert.deepEqual(splitLocation(text), { folder, key }, text);
  });
});
