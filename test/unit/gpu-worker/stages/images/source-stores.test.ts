import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ObjectStore } from "@trommel/common";
import { SourceStores } from "#gpu-worker/stages/images/source-stores";

/** Notes what is opened and closed, in order. */
function watched(): { readonly sources: SourceStores; readonly events: string[] } {
  const events: string[] = [];
  const open = (url: string): ObjectStore => {
    events.push(`open ${url}`);
    return { url, close: () => events.push(`close ${url}`) } as unknown as ObjectStore;
  };
  return { sources: new SourceStores(open), events };
}

const url = (store: ObjectStore): Promise<string> => Promise.resolve(store.url);

describe("the stores that pictures are read from", () => {
  it("are opened once for all shards, and closed with the worker", async () => {
    const { sources, events } = watched();
    assert.deepEqual(await Promise.all([sources.use("a", url), sources.use("a", url)]), ["a", "a"]);
    assert.equal(await sources.use("a", url), "a");
    assert.deepEqual(events, ["open a"]);
    sources.close();
    assert.deepEqual(events, ["open a", "close a"]);
  });

  it("are few: the one that was used longest ago is closed, and none that is read from", async () => {
    const { sources, events } = watched();
    await sources.use("held", async () => {
      for (const location of ["a", "b", "c", "d", "a", "e"]) await sources.use(location, url);
    });
    assert.deepEqual(events.slice(5), ["open e", "close b", "close held"]);
  });

  it("are opened anew after a failure, and closed when the last shard is done with the old one", async () => {
    const { sources, events } = watched();
    await sources.use("a", async () => {
      await assert.rejects(
        sources.use("a", () => Promise.reject(new Error("refused"))),
        /refused/,
      );
      assert.deepEqual(events, ["open a"]);
      await sources.use("a", url);
    });
    assert.deepEqual(events, ["open a", "open a", "close a"]);
  });
});
