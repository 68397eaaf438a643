import assert from "node:assert/strict";
import { it } from "node:test";
import { describeReport } from "../../../chaos/chaos-report.js";
import { faultKinds } from "../../../chaos/faults/fault-schedule.js";
import { runChaos } from "../../../chaos/run-chaos.js";

it("loses, doubles and changes nothing while every kind of fault meets something", async () => {
  const said: string[] = [];
  const report = await runChaos({
    minutes: 2,
    faultsEnd: "every-kind-met",
    seed: 20261122,
    say: (line) => said.push(line),
  });
  const shown = `${describeReport(report)}\n${said.join("\n")}`;
  assert.deepEqual(report.problems, [], shown);
  assert.ok(report.roundsEnded > 0, shown);
  assert.equal(report.rowsLost + report.rowsDoubled + report.artefactsDifferent, 0, shown);
  assert.deepEqual(report.takeOvers.abandoned, [], shown);
  assert.deepEqual(Object.keys(report.faults).sort(), [...faultKinds].sort(), shown);
});
