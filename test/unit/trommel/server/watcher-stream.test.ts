import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { WatcherStream } from "#trommel/server/answers/watcher-stream";

const mebibyte = 2 ** 20;

/** A peer that takes what it is sent when the test says so. */
class Peer {
  readonly got: string[] = [];
  #take: (() => void) | undefined;
  readonly raw = new Writable({
    decodeStrings: false,
    write: (chunk: string, _, done) => {
      this.#take = () => {
        this.got.push(chunk);
        done();
      };
    },
  });

  async read(): Promise<void> {
    while (this.#take !== undefined) {
      const take = this.#take;
      this.#take = undefined;
      take();
      await setImmediate();
    }
  }
}

function watch(peer: Peer): { stream: WatcherStream; snapshots: () => number; waitMs: (ms: number) => void } {
  let [snapshots, now] = [0, 0];
  const stream = new WatcherStream(peer.raw, {
    snapshot: () => Promise.resolve(`snapshot ${(snapshots += 1)}`),
    nowMs: () => now,
  });
  return { stream, snapshots: () => snapshots, waitMs: (ms) => (now += ms) };
}

describe("the stream of a watcher", () => {
  it("is not cut off for a snapshot larger than what may be unread", async () => {
    const peer = new Peer();
    const { stream, snapshots } = watch(peer);
    const large = "x".repeat(5 * mebibyte);
    stream.tell(large);
    assert.equal(peer.raw.destroyed, false);
    await peer.read();
    stream.tell("later");
    await peer.read();
    assert.deepEqual(peer.got, [large, "later"]);
    assert.equal(snapshots(), 0);
  });

  it("leaves events out while a watcher is behind, holds no more for it, and says all of it by one snapshot", async () => {
    const peer = new Peer();
    const { stream } = watch(peer);
    const event = "e".repeat(mebibyte / 4);
    for (let i = 0; i < 1000; i += 1) stream.tell(event);
    assert.ok(peer.raw.writableLength < 2 * mebibyte, `${peer.raw.writableLength} bytes are held`);
    await peer.read();
    assert.equal(peer.got.at(-1), "snapshot 1");
    assert.equal(peer.got.filter((text) => text.startsWith("snapshot")).length, 1);
    stream.tell("later");
    await peer.read();
    assert.equal(peer.got.at(-1), "later");
    assert.equal(peer.raw.destroyed, false);
  });

  it("ends for a watcher that reads nothing for a minute, and is kept open for one that does", async () => {
    const peer = new Peer();
    const { stream, waitMs } = watch(peer);
    stream.tell("x".repeat(2 * mebibyte));
    waitMs(59_000);
    stream.beat();
    assert.equal(peer.raw.destroyed, false);
    waitMs(2000);
    stream.beat();
    assert.equal(peer.raw.destroyed, true);
    const reader = new Peer();
    const other = watch(reader);
    other.stream.tell("x".repeat(2 * mebibyte));
    await reader.read();
    other.waitMs(120_000);
    other.stream.beat();
    await reader.read();
    assert.match(reader.got.at(-1) ?? "", /^: alive/);
    assert.equal(reader.raw.destroyed, false);
  });

  it("ends where no snapshot can be given: the watcher connects again, and is told why", async () => {
    const peer = new Peer();
    const stream = new WatcherStream(peer.raw, { snapshot: () => Promise.reject(new Error("lost")) });
    stream.tell("x".repeat(2 * mebibyte));
    stream.tell("missed");
    await peer.read();
    assert.equal(peer.raw.destroyed, true);
  });
});
