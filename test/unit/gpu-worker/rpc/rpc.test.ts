import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { startProcess, startThread, type Peer } from "#gpu-worker/rpc/peer";
import { PeerEnded } from "#gpu-worker/rpc/protocol";
import type { CountingRequests } from "../../../support/process/counting-peer.js";

const entry = new URL("../../../support/process/counting-peer.js", import.meta.url);

for (const [kind, start] of [
  ["thread", () => startThread<CountingRequests>(entry, null)],
  ["process", () => startProcess<CountingRequests>(entry, process.env)],
] as const) {
  describe(`calls to a ${kind}`, () => {
    const peers: Peer<CountingRequests>[] = [];
    const open = (): Peer<CountingRequests> => {
      const peer = start();
      peers.push(peer);
      return peer;
    };
    after(() => Promise.all(peers.map((peer) => peer.end())));

    it("bring results, notes and bytes to the call that asked, and keep the peer's state", async () => {
      const peer = open();
      const notes: number[][] = [[], []];
      const calls = [2, 3].map((to, i) => peer.call("count", to, { onNote: (at) => notes[i]?.push(at) }));
      assert.deepEqual(await Promise.all(calls), [2, 5]);
      assert.deepEqual(notes, [
        [1, 2],
        [3, 4, 5],
      ]);
      const doubled = await peer.call("double", Float32Array.of(1, 2));
      assert.deepEqual([...doubled], [2, 4]);
    });

    it("bring the peer's error with its code, and leave the peer as it is", async () => {
      const peer = open();
      await assert.rejects(peer.call("refuse", "no room"), (thrown) => {
        assert.ok(thrown instanceof TrommelError && !(thrown instanceof PeerEnded));
        assert.deepEqual(thrown.toJSON(), {
          code: "store-full",
          message: "no room",
          retryable: false,
          context: { why: "no room" },
        });
        return true;
      });
      assert.equal(await peer.call("count", 1), 1);
    });

    it("are given up when their signal aborts, and not begun after it has", async () => {
      const peer = open();
      const abort = new AbortController();
      const waiting = peer.call("wait", null, { signal: abort.signal });
      await peer.call("count", 1);
      abort.abort(new Error("not wanted"));
      await assert.rejects(waiting, { code: "cancelled" });
      await assert.rejects(peer.call("count", 1, { signal: abort.signal }), /not wanted/);
    });

    it("end the peer when they take too long, and every other call with it", async () => {
      const peer = open();
      assert.equal(await peer.call("count", 1), 1);
      const other = peer.call("wait", null);
      const late = peer.call("wait", null, { timeoutMs: 50 });
      for (const call of [late, other]) {
        await assert.rejects(call, (thrown) => thrown instanceof PeerEnded && thrown.how === "timed-out");
      }
      assert.equal(peer.isRunning, false);
      await assert.rejects(peer.call("count", 1), PeerEnded);
    });

    it("fail when the peer dies or is ended", async () => {
      const dying = open();
      await assert.rejects(
        dying.call("die", null),
        (thrown) => thrown instanceof PeerEnded && thrown.how === "died",
      );
      const ended = open();
      const waiting = ended.call("wait", null);
      waiting.catch(() => undefined);
      await ended.end();
      await assert.rejects(waiting, { code: "unavailable", retryable: true });
    });
  });
}
