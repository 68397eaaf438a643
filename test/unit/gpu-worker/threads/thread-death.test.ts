import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { toTrommelError } from "@trommel/common";
import { ThreadClient } from "#gpu-worker/rpc/thread-client";
import type { DyingRequests } from "../../../support/process/dying-thread.js";

const client = new ThreadClient<DyingRequests>(
  new URL("../../../support/process/dying-thread.js", import.meta.url),
  null,
);
after(() => client.stop());

describe("a thread of the worker that dies alone", () => {
  for (const [method, why] of [
    ["throwLater", /a callback failed/],
    ["exit", /exit code 3/],
  ] as const) {
    it(`by ${method} fails its calls so that the job is tried again, and the next call starts another`, async () => {
      assert.equal(await client.call("echo", 1), 1);
      const { generation } = client;
      // The second call has no part in the death.
      const waiting = client.call("throwLater", null);
      const dying = method === "throwLater" ? waiting : client.call(method, null);
      for (const call of [dying, waiting]) {
        await assert.rejects(call, (thrown) => {
          const { code, retryable, message } = toTrommelError(thrown);
          assert.deepEqual([code, retryable], ["unavailable", true]);
          if (method === "throwLater") assert.match(message, why);
          return true;
        });
      }
      assert.equal(await client.call("echo", 2), 2);
      assert.equal(client.generation, generation + 1);
    });
  }
});
