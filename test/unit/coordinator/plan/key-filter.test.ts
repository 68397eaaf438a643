import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import { litter } from "@trommel/common/artefacts";
import { KeyFilter, skipByName } from "#coordinator/listing/key-filter";

const reasonOf = (key: string) => skipByName(key)?.reason;

describe("keys that are never read by their names", () => {
  it("are what systems leave, wherever it lies and in whatever case", () => {
    const keys = [
      "@eaDir/metal@SynoEAStream",
      "glass/@eaDir/1.jpg/SYNOPHOTO_THUMB_SM.jpg",
      "#recycle/glass/old.jpg",
      "#Recycle/1.jpg",
      "a/$Recycle.Bin/S-1-5/1.jpg",
      "@Recycle/1.jpg",
      "glass/.@__thumb/s800_1.jpg",
      "__MACOSX/glass/._1.jpg",
      "glass/._1.jpg",
      "glass/.DS_Store",
      "glass/THUMBS.DB",
      "Desktop.ini",
      "lost+found/#123/1.jpg",
      "System Volume Information/IndexerVolumeGuid",
      "glass/.ipynb_checkpoints/1-checkpoint.jpg",
      ".Trash-1000/files/1.jpg",
      ".Trashes/501/1.jpg",
      "__pycache__/x.cpython-311.pyc",
      ".git/objects/00/1",
      ".stversions/glass/1~20260101.jpg",
      "glass/1.jpg:Zone.Identifier",
      "glass_$folder$",
      "~snapshot/daily/glass/1.jpg",
    ];
    for (const key of keys) assert.equal(reasonOf(key), "litter", key);
    for (const { folders, files } of litter) {
      for (const name of folders) assert.equal(reasonOf(`a/${name.replace("*", "1")}/b.jpg`), "litter", name);
      for (const name of files) assert.equal(reasonOf(`a/${name.replace("*", "1")}`), "litter", name);
    }
  });

  it("are not those of classes and pictures that are called nearly so", () => {
    const keys = [
      "recycle/1.jpg",
      "recycled/1.jpg",
      "thumbs/1.jpg",
      "eaDir/1.jpg",
      "#recycled/1.jpg",
      "tmp/@tmp.jpg",
    ];
    for (const key of [
      ...keys,
      "desktop.ini/1.jpg",
      "snapshot/1.jpg",
      "a/Thumbs.db.jpg",
      "temporary items.jpg",
    ])
      assert.equal(reasonOf(key), undefined, key);
    assert.equal(reasonOf("a/.hidden.jpg"), "hidden");
  });
});

describe("patterns of keys", () => {
  const skip = (rules: { include?: string[]; exclude?: string[] }, keys: readonly string[]) => {
    const filter = new KeyFilter(rules);
    return keys.map((key) => filter.skip(key)?.reason ?? "read");
  };

  it("match the key below the prefix, without a slash the file's name, with one at the end a folder", () => {
    const keys = ["a.jpg", "x/a.jpg", "x/y/a.jpg", "x/a_mask.png", "mask/b.jpg", "x/mask/b.jpg"];
    const left = (pattern: string) =>
      keys.filter((_, at) => skip({ exclude: [pattern] }, keys)[at] === "excluded");
    assert.deepEqual(left("*.jpg"), ["a.jpg", "x/a.jpg", "x/y/a.jpg", "mask/b.jpg", "x/mask/b.jpg"]);
    assert.deepEqual(left("x/*.jpg"), ["x/a.jpg"]);
    assert.deepEqual(left("x/**"), ["x/a.jpg", "x/y/a.jpg", "x/a_mask.png", "x/mask/b.jpg"]);
    assert.deepEqual(left("*_mask.{png,gif}"), ["x/a_mask.png"]);
    assert.deepEqual(left("mask/"), ["mask/b.jpg"]);
    assert.deepEqual(left("**/mask/**"), ["mask/b.jpg", "x/mask/b.jpg"]);
    assert.deepEqual(left("X/**"), []);
  });

  it("match whatever the normal form is", () => {
    assert.deepEqual(skip({ exclude: ["mu\u0308ll/**"] }, ["m\u00fcll/1.jpg"]), ["excluded"]);
    assert.deepEqual(skip({ exclude: ["m\u00fcll/"] }, ["mu\u0308ll/1.jpg"]), ["excluded"]);
  });

  it("include first and exclude then, after names, and tell which pattern it was", () => {
    const rules = { include: ["*.jpg"], exclude: ["old/**", "*.jpg"] };
    const keys = ["@eaDir/a.jpg", ".a.jpg", "a.png", "old/a.jpg"];
    assert.deepEqual(skip(rules, keys), ["litter", "hidden", "not-included", "excluded"]);
    const filter = new KeyFilter(rules);
    assert.deepEqual(filter.skip("old/a.jpg"), { reason: "excluded", pattern: "old/**" });
    assert.deepEqual(filter.skip("a.jpg"), { reason: "excluded", pattern: "*.jpg" });
  });

  it("that change nothing are known at the end", () => {
    const filter = new KeyFilter({ include: ["*.jpg", "*.gif"], exclude: ["a*", "z*"] });
    for (const key of ["a.jpg", "b.jpg"]) filter.skip(key);
    assert.deepEqual(filter.withoutEffect({ "a*": 1 }), { include: ["*.gif"], exclude: ["z*"] });
  });

  it("are refused where they can match nothing", () => {
    for (const pattern of ["/a.jpg", "!a.jpg", ""])
      assert.equal(recipe.safeParse({ backbones: ["any"], exclude: [pattern] }).success, false, pattern);
    assert.equal(recipe.safeParse({ backbones: ["any"], exclude: ["a", "a"] }).success, false);
    assert.equal(recipe.safeParse({ backbones: ["any"], include: ["!(a|b).jpg"] }).success, true);
  });
});
