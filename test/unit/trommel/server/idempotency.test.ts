import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Idempotency } from "#trommel/server/idempotency";

const request = { path: "POST /api/v1/trainings", body: { a: 1, b: [2] } };

describe("idempotency keys", () => {
  it("do the work once for the same key and body, also while it is under way", async () => {
    const idempotency = new Idempotency();
    let works = 0;
    const work = (): Promise<unknown> => Promise.resolve({ works: (works += 1) });
    const answers = await Promise.all([
      idempotency.once("k", request, work),
      idempotency.once("k", { ...request, body: { b: [2], a: 1 } }, work),
    ]);
    assert.deepEqual(answers, [{ works: 1 }, { works: 1 }]);
    assert.deepEqual(await idempotency.once("k2", request, work), { works: 2 });
  });

  it("are refused with another body or for another route", async () => {
    const idempotency = new Idempotency();
    await idempotency.once("k", request, () => Promise.resolve(1));
    for (const other of [
      { ...request, body: { a: 1 } },
      { ...request, path: "POST /api/v1/scorings" },
    ])
      await assert.rejects(
        idempotency.once("k", other, () => Promise.resolve(2)),
        /another request before/,
      );
    await assert.rejects(
      idempotency.once("two words", request, () => Promise.resolve(2)),
      /visible ASCII/,
    );
  });

  it("keep no error, so that the request can be sent again", async () => {
    const idempotency = new Idempotency();
    await assert.rejects(
      idempotency.once("k", request, () => Promise.reject(new Error("once"))),
      /once/,
    );
    assert.equal(await idempotency.once("k", { ...request, body: 2 }, () => Promise.resolve("well")), "well");
  });
});
