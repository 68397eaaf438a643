import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  symlink,
  unlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type ObjectInfo, type ObjectStore, TrommelError } from "@trommel/common";
import { openStore } from "#common/store/open-store";
import { waitUntil } from "../../support/process/wait-until.js";

const text = (value: string) => new TextEncoder().encode(value);

const isError =
  (code: string, ...parts: readonly string[]) =>
  (thrown: unknown) => {
    assert.ok(thrown instanceof TrommelError, String(thrown));
    assert.equal(thrown.code, code, thrown.message);
    for (const part of parts) assert.ok(thrown.message.includes(part), `${thrown.message} names ${part}`);
    return true;
  };

async function keysOf(listing: AsyncIterable<ObjectInfo>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of listing) keys.push(key);
  return keys;
}

describe("a folder as a store", () => {
  let outside: string;
  let root: string;
  let store: ObjectStore;
  let notices: string[];
  beforeEach(async () => {
    outside = await mkdtemp(join(tmpdir(), "trommel-file-"));
    root = join(outside, "root");
    notices = [];
    store = openStore(root, { onNotice: (notice) => notices.push(notice) });
  });
  afterEach(() => rm(outside, { recursive: true }));

  /** What is listed although it cannot be read, and why. */
  async function unusable(): Promise<string[]> {
    const found: string[] = [];
    for await (const { key, unusable } of store.list("", { withUnusable: true }))
      if (unusable !== undefined) found.push(`${key}: ${unusable}`);
    return found;
  }

  it("gives one of two bodies whole while they are written over each other", async () => {
    const bodies = [text("a".repeat(10)), text("b".repeat(5000))];
    await store.put("k", bodies[0] ?? text(""));
    let writing = true;
    const read = async (): Promise<void> => {
      while (writing) {
        const found = Buffer.from(await store.get("k"));
        assert.ok(
          bodies.some((body) => found.equals(body)),
          `${found.length} bytes of ${found[0]}`,
        );
      }
    };
    const write = async (): Promise<void> => {
      for (let i = 0; i < 300 && writing; i += 1) await store.put("k", bodies[i % 2] ?? text(""));
    };
    const ended = (): void => void (writing = false);
    await Promise.all([write().finally(ended), ...[1, 2, 3].map(() => read().finally(ended))]);
  });

  it("says that its folder does not exist, until the first put makes it", async () => {
    await assert.rejects(keysOf(store.list("")), isError("not-found", root));
    await assert.rejects(store.get("k"), isError("not-found", "k"));
    assert.equal(await store.head("k"), undefined);
    await store.delete(["k"]);
    await store.put("a/b/k", text("x"));
    assert.deepEqual(await keysOf(store.list("")), ["a/b/k"]);
  });

  it("says that its folder is a file", async () => {
    await writeFile(root, "x");
    await assert.rejects(keysOf(store.list("")), isError("invalid-argument", root, "is a file"));
    await assert.rejects(store.put("k", text("x")), isError("conflict", root));
  });

  it("leaves no partial file behind, and never lists one that a dead writer left", async () => {
    await store.put("a/k", text("x"));
    await store.put("a/k", text("y"), { ifAbsent: true });
    await mkdir(join(root, "a/taken"));
    await assert.rejects(store.put("a/taken", text("x")), isError("conflict", "a/taken"));
    await assert.rejects(store.put("a/taken", text("x"), { ifAbsent: true }), isError("conflict", "a/taken"));
    assert.deepEqual((await readdir(join(root, "a"))).sort(), ["k", "taken"]);
    await writeFile(join(root, "a/.trommel-partial-0"), "half");
    assert.deepEqual(await keysOf(store.list("")), ["a/k"]);
  });

  it(
    "sweeps what killed writers left where it writes, and never a living one's",
    { timeout: 30_000 },
    async () => {
      const open = JSON.stringify(import.meta.resolve("#common/store/open-store"));
      // Stopped between writing and publishing, as a full second of a large object's writing would be.
      const script = `
      const { openStore } = await import(${open});
      const body = new Uint8Array(300_000_000);
      console.log("writing");
      await openStore(${JSON.stringify(root)}).put("a/large", body);`;
      await store.put("a/k", text("x"));
      const writer = spawn(process.execPath, ["--input-type=module", "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const exited = once(writer, "exit");
      const partials = async () =>
        (await readdir(join(root, "a"))).filter((name) => name.startsWith(".trommel-partial-"));
      await waitUntil("it writes", async () => (await partials()).length === 1);
      writer.kill("SIGSTOP");
      await openStore(root).put("a/k", text("y"));
      assert.equal((await partials()).length, 1, "a stopped writer is alive");
      writer.kill("SIGKILL");
      await exited;
      assert.equal((await partials()).length, 1, "it was killed before it was done");
      const dayAndMore = Date.now() / 1000 - 90_000;
      for (const name of ["elsewhere-1-1-fresh", "elsewhere-1-1-old", "fresh", "old"]) {
        const path = join(root, "a", `.trommel-partial-${name}`);
        await writeFile(path, "half");
        if (name.endsWith("old")) await utimes(path, dayAndMore, dayAndMore);
      }
      await openStore(root).put("a/k", text("z"));
      assert.deepEqual((await partials()).sort(), [
        ".trommel-partial-elsewhere-1-1-fresh",
        ".trommel-partial-fresh",
      ]);
      assert.deepEqual(await keysOf(store.list("")), ["a/k"]);
    },
  );

  it("sweeps what killed writers left where it copies, whatever lies there", async () => {
    await store.put("from/k", text("x"));
    await store.put("to/k", text("x"));
    const old = join(root, "to/.trommel-partial-old");
    await writeFile(old, "half");
    const dayAndMore = Date.now() / 1000 - 90_000;
    await utimes(old, dayAndMore, dayAndMore);
    assert.equal(await openStore(root).copyFrom(store, "from/k", "to/k"), "exists");
    assert.deepEqual(await readdir(join(root, "to")), ["k"]);
  });

  it("sweeps every folder of what dead writers left, after it was told", async () => {
    await store.put("a/b/k", text("x"));
    const old = Date.now() / 1000 - 90_000;
    for (const name of ["a/.trommel-partial-old", "a/b/.trommel-partial-elsewhere-1-1-old"]) {
      await writeFile(join(root, name), "half");
      await utimes(join(root, name), old, old);
    }
    await writeFile(join(root, "a/b/.trommel-partial-fresh"), "half");
    await symlink(outside, join(root, "a/link"));
    await writeFile(join(outside, ".trommel-partial-old"), "half");
    await utimes(join(outside, ".trommel-partial-old"), old, old);
    for (const remove of [false, true])
      assert.deepEqual(await store.sweep(remove), { objects: 2, sizeBytes: 8 });
    assert.deepEqual(await store.sweep(true), { objects: 0, sizeBytes: 0 });
    assert.deepEqual(await readdir(join(root, "a/b")), [".trommel-partial-fresh", "k"]);
    assert.ok((await readdir(outside)).includes(".trommel-partial-old"));
  });

  it("refuses a key below a file", async () => {
    await store.put("a", text("x"));
    await assert.rejects(store.put("a/b", text("y")), isError("conflict", "a/b"));
    assert.deepEqual(await store.get("a"), text("x"));
  });

  it("follows links inside its folder and refuses those that leave it, for every call", async () => {
    await writeFile(join(outside, "secret"), "secret");
    await mkdir(join(outside, "elsewhere"));
    await store.put("real/k", text("x"));
    await symlink("real", join(root, "inner"));
    assert.deepEqual(await keysOf(store.list("")), ["inner/k", "real/k"]);
    assert.deepEqual(await store.get("inner/k"), text("x"));

    await symlink(join(outside, "secret"), join(root, "file-link"));
    await symlink(join(outside, "elsewhere"), join(root, "folder-link"));
    await assert.rejects(store.get("file-link"), isError("forbidden", "file-link"));
    await assert.rejects(store.head("file-link"), isError("forbidden", "file-link"));
    await assert.rejects(store.put("folder-link/k", text("x")), isError("forbidden", "folder-link"));
    await assert.rejects(store.put("folder-link/deep/k", text("x")), isError("forbidden", "folder-link"));
    await writeFile(join(outside, "elsewhere/k"), "theirs");
    await assert.rejects(store.delete(["folder-link/k"]), isError("forbidden", "folder-link"));
    assert.deepEqual(await keysOf(store.list("")), ["inner/k", "real/k"]);
    assert.deepEqual(await unusable(), ["file-link: outside-the-folder", "folder-link: outside-the-folder"]);
    await assert.rejects(keysOf(store.list("folder-link/")), isError("forbidden", "folder-link"));
    assert.deepEqual(await readdir(join(outside, "elsewhere")), ["k"]);
    // Writing to a link's own key replaces the link, not what it points at.
    await store.put("file-link", text("mine"));
    assert.equal((await stat(join(outside, "secret"))).size, 6);
    assert.deepEqual(await store.get("file-link"), text("mine"));
  });

  it("may itself be reached through a link", async () => {
    await store.put("k", text("x"));
    await symlink(root, join(outside, "alias"));
    const alias = openStore(join(outside, "alias"));
    await alias.put("d/j", text("y"));
    assert.deepEqual(await keysOf(alias.list("")), ["d/j", "k"]);
  });

  it("goes past links in a circle and links to nothing", { timeout: 10_000 }, async () => {
    await store.put("a/k", text("x"));
    await store.put("b/k", text("x"));
    await symlink("nowhere", join(root, "dangling"));
    await symlink("itself", join(root, "itself"));
    await symlink("..", join(root, "a/up"));
    await symlink(join(root, "b"), join(root, "a/b"));
    await symlink(join(root, "a"), join(root, "b/a"));
    assert.deepEqual(await keysOf(store.list("")), ["a/b/k", "a/k", "b/a/k", "b/k"]);
    assert.deepEqual(await unusable(), [
      ...["a/b/a: circular-link", "a/up: circular-link", "b/a/b: circular-link", "b/a/up: circular-link"],
      ...["dangling: not-a-file", "itself: circular-link"],
    ]);
    // The store's own folder has to be one.
    await symlink(join(root, "self"), join(root, "self"));
    await assert.rejects(keysOf(openStore(join(root, "self")).list("")), isError("invalid-argument", "self"));
  });

  it("leaves out what no key can name and says so, or lists it in its place", async () => {
    await store.put("k", text("x"));
    await store.put("back\u0001/k", text("x"));
    const bytes = (...parts: (string | number)[]) =>
      Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.of(part))));
    await writeFile(bytes(`${root}/bad-é`, 0xc3, 0xff, "z"), "x");
    await writeFile(join(root, "bad-é\\xc3\\xffz"), "another one");
    await writeFile(join(root, "back\\slash"), "x");
    await mkdir(bytes(`${root}/dir`, 0xe9, "/inner"), { recursive: true });
    await writeFile(bytes(`${root}/dir`, 0xe9, "/inner/a.png"), "x");
    await symlink(outside, bytes(`${root}/dir`, 0xe9, "/link"));
    assert.deepEqual(await keysOf(store.list("")), ["back\u0001/k", "k"]);
    assert.equal(notices.length, 5);
    assert.ok(notices.some((notice) => notice.includes("slash")));
    const listed = [
      ...["back\u0001/k", "back\\\\slash"],
      ...["bad-é\\\\xc3\\\\xffz", "bad-é\\xc3\\xffz", "dir\\xe9/inner/a.png", "dir\\xe9/link", "k"],
    ];
    assert.deepEqual(await keysOf(store.list("", { withUnusable: true })), listed);
    assert.deepEqual(
      (await unusable()).map((line) => line.split(": ")[1]),
      Array<string>(5).fill("illegal-key"),
    );
    // From wherever a listing is taken up, the rest comes in the same order.
    for (const [i, startAfter] of listed.entries())
      assert.deepEqual(
        await keysOf(store.list("", { startAfter, withUnusable: true })),
        listed.slice(i + 1),
        startAfter,
      );
  });

  it("goes past files and folders that vanish while it lists", async () => {
    const keys = Array.from({ length: 200 }, (_, i) => `k${String(i).padStart(3, "0")}`);
    for (const key of [...keys, "z/k"]) await store.put(key, text("x"));
    const seen: string[] = [];
    for await (const { key } of store.list("")) {
      if (seen.push(key) > 1) continue;
      await unlink(join(root, "k150"));
      await rm(join(root, "z"), { recursive: true });
    }
    assert.deepEqual(
      seen,
      keys.filter((key) => key !== "k150"),
    );
  });

  it("does not hang on a pipe, and does not list it", { timeout: 10_000 }, async () => {
    await store.put("k", text("x"));
    execFileSync("bash", ["-c", 'mkfifo "$0"', join(root, "pipe")]);
    await assert.rejects(store.get("pipe"), isError("not-found", "pipe"));
    assert.deepEqual(await keysOf(store.list("")), ["k"]);
    assert.deepEqual(await unusable(), ["pipe: not-a-file"]);
  });

  it("sees a rewrite of the same size by its time", async () => {
    await store.put("k", text("one"));
    const first = await store.head("k");
    await writeFile(join(root, "k"), "two");
    await utimes(join(root, "k"), 1_700_000_000, 1_700_000_000);
    assert.notEqual((await store.head("k"))?.etag, first?.etag);
  });

  it("says which name is too long", async () => {
    await assert.rejects(store.put("x".repeat(300), text("x")), isError("invalid-argument", "255 bytes"));
  });

  it("says that it may not read or write", async () => {
    await store.put("shut/k", text("x"));
    await chmod(join(root, "shut"), 0);
    await chmod(outside, 0o755);
    // Root may read everything, so it becomes somebody else for a moment.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    try {
      await assert.rejects(store.get("shut/k"), isError("forbidden", "shut/k"));
      await assert.rejects(store.put("shut/j", text("x")), isError("forbidden", "shut/j"));
      await assert.rejects(keysOf(store.list("shut/")), isError("forbidden", "shut"));
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(join(root, "shut"), 0o700);
    }
  });

  it("lists in its place a folder that it may not read, and what lies in one that it may not enter", async () => {
    for (const key of ["a", "d/in/k", "d/shut/k", "d/shut/l/k", "d0", "half/inner/k", "half/k", "z"])
      await store.put(key, text("x"));
    await symlink("d/shut/k", join(root, "link"));
    await chmod(join(root, "d/shut"), 0);
    await chmod(join(root, "half"), 0o744);
    for (const folder of [outside, root]) await chmod(folder, 0o755);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65534);
    const listed = ["a", "d/in/k", "d/shut/", "d0", "half/inner/", "half/k", "link", "z"];
    try {
      assert.deepEqual(await keysOf(store.list("", { withUnusable: true })), listed);
      assert.deepEqual(
        await unusable(),
        ["d/shut/", "half/inner/", "half/k", "link"].map((key) => `${key}: forbidden-folder`),
      );
      for (const [i, startAfter] of listed.entries())
        assert.deepEqual(
          await keysOf(store.list("", { startAfter, withUnusable: true })),
          listed.slice(i + 1),
          startAfter,
        );
      // Whoever does not ask for them must not take what is there for gone; nor is the prefix itself a row.
      await assert.rejects(keysOf(store.list("d/")), isError("forbidden", "shut"));
      await assert.rejects(
        keysOf(store.list("d/shut/", { withUnusable: true })),
        isError("forbidden", "shut"),
      );
    } finally {
      if (isRoot) process.seteuid?.(0);
      for (const folder of ["d/shut", "half"]) await chmod(join(root, folder), 0o700);
    }
  });

  it("says that there is no room, and leaves nothing behind", async () => {
    // A file-size limit is the one kind of full disk that needs no mount: the write fails as on a disk of that size.
    const script = `
      process.on("SIGXFSZ", () => {});
      const { openStore } = await import(${JSON.stringify(import.meta.resolve("#common/store/open-store"))});
      const store = openStore(${JSON.stringify(root)});
      const error = await store.put("k", new Uint8Array(100_000)).catch((thrown) => thrown);
      console.log(JSON.stringify({ code: error.code, message: error.message }));`;
    const output = execFileSync("bash", [
      "-c",
      'ulimit -f 8; exec node --input-type=module -e "$0"',
      script,
    ]).toString();
    const { code, message } = JSON.parse(output) as { code: string; message: string };
    assert.deepEqual([code, message.includes("k")], ["exhausted", true], message);
    assert.deepEqual(await readdir(root), []);
  });
});
