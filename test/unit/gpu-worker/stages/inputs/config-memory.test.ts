import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openStore, type RunConfig } from "@trommel/common";
import { rememberedConfig } from "#gpu-worker/stages/inputs/config-memory";
import { temporaryFolder } from "../../../../support/files/temp-folder.js";

describe("a run's configuration", () => {
  it("is read again once another stands, or none", async () => {
    const store = openStore(await temporaryFolder("config-memory"));
    let readings = 0;
    const read = async (): Promise<RunConfig> => {
      readings += 1;
      const id = Buffer.from(await store.get("run.json")).toString("utf8");
      return { id } as RunConfig;
    };
    const idNow = async () => (await rememberedConfig(store, "run.json", read)).id;
    await store.put("run.json", Buffer.from("first"));
    assert.deepEqual([await idNow(), await idNow(), readings], ["first", "first", 1]);
    await store.put("run.json", Buffer.from("the second"));
    assert.deepEqual([await idNow(), await idNow(), readings], ["the second", "the second", 2]);
    await store.delete(["run.json"]);
    await assert.rejects(idNow());
  });

  it("cannot be changed by one shard under the hands of another", async () => {
    const store = openStore(await temporaryFolder("config-memory"));
    await store.put("run.json", Buffer.from("first"));
    const config = await rememberedConfig(store, "run.json", () =>
      Promise.resolve({ id: "first", backbones: [{ id: "b" }] } as unknown as RunConfig),
    );
    assert.throws(() => Object.assign(config.backbones[0] ?? {}, { id: "c" }), TypeError);
  });

  it("is forgotten first of seventeen that were read", async () => {
    const store = openStore(await temporaryFolder("config-memory"));
    const keys = Array.from({ length: 17 }, (_, i) => `${i}.json`);
    const read: string[] = [];
    const ask = async (key: string) =>
      rememberedConfig(store, key, () => {
        read.push(key);
        return Promise.resolve({ id: key } as RunConfig);
      });
    for (const key of keys) {
      await store.put(key, Buffer.from(key));
      await ask(key);
    }
    await ask("16.json");
    await ask("1.json");
    await ask("0.json");
    assert.deepEqual(read, [...keys, "0.json"]);
  });

  it("is not remembered where it changed while it was read", async () => {
    const store = openStore(await temporaryFolder("config-memory"));
    await store.put("run.json", Buffer.from("first"));
    const torn = await rememberedConfig(store, "run.json", async () => {
      await store.put("run.json", Buffer.from("the second"));
      return { id: "first" } as RunConfig;
    });
    const next = await rememberedConfig(store, "run.json", () =>
      Promise.resolve({ id: "the second" } as RunConfig),
    );
    assert.deepEqual([torn.id, next.id], ["first", "the second"]);
  });
});
