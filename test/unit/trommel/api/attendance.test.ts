import assert from "node:assert/strict";
import { it } from "node:test";
import type { ClusterMember } from "@trommel/common/redis";
import { Attendance } from "#trommel/api/following/attendance";

it("says once who is missing of those that serve a run, and again when somebody has left", async () => {
  let kinds: string[] = [];
  let looks = 0;
  const said: string[] = [];
  const attendance = new Attendance(
    () => {
      looks += 1;
      return Promise.resolve(kinds.map((kind) => ({ kind }) as ClusterMember));
    },
    (line) => said.push(line),
  );
  const nobody =
    "waiting: no coordinator and no worker serves its Redis. Start 'trommel coordinator' and 'trommel worker' with the same --redis and --store";
  const noWorker =
    "waiting: no worker serves its Redis. Start 'trommel worker' with the same --redis and --store";
  await attendance.look(0);
  await attendance.look(4_999);
  assert.equal(looks, 1);
  await attendance.look(5_000);
  assert.deepEqual(said, [nobody]);
  kinds = ["coordinator"];
  await attendance.look(10_000);
  assert.deepEqual(said, [nobody, noWorker]);
  kinds = ["coordinator", "worker"];
  await attendance.look(15_000);
  kinds = ["coordinator"];
  await attendance.look(20_000);
  assert.deepEqual(said, [nobody, noWorker, noWorker]);
});
