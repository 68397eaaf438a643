import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { NamedTensor } from "@trommel/common";
import {
  firstCheckpoint,
  mergeReplicas,
  stateOfReplica,
  type Checkpoint,
} from "#gpu-worker/tuning/rounds/merge-replicas";
import {
  decodeCheckpoint,
  decodeState,
  encodeCheckpoint,
  encodeState,
} from "#gpu-worker/tuning/rounds/state-codec";

/** What torch.optim.SGD comes to on the same changes; see the script beside it. */
const golden = JSON.parse(
  readFileSync(new URL("../../../../golden/outer-step.json", import.meta.url), "utf8"),
) as {
  readonly learningRate: number;
  readonly momentum: number;
  readonly start: number[];
  readonly moves: number[][][];
  readonly after: readonly { readonly weights: number[]; readonly momentum: number[] }[];
};

const tensor = (values: readonly number[]): NamedTensor => ({
  shape: [values.length],
  data: Float32Array.from(values),
});
const state = (step: number, tensors: Readonly<Record<string, readonly number[]>>) => ({
  step,
  tensors: new Map(Object.entries(tensors).map(([name, values]) => [name, tensor(values)])),
});
const values = (of: ReadonlyMap<string, NamedTensor>, name: string): number[] => [
  ...(of.get(name)?.data ?? []),
];

function near(found: readonly number[], expected: readonly number[]): void {
  assert.equal(found.length, expected.length);
  for (const [at, value] of expected.entries())
    assert.ok(Math.abs((found[at] ?? NaN) - value) < 1e-6, `${found[at]} and ${value}`);
}

describe("merging the replicas of a round", () => {
  it("steps as PyTorch's SGD with Nesterov momentum on the checkpoint less their mean", () => {
    const { learningRate, momentum, start, moves, after } = golden;
    const name = "weights/conv/kernel";
    let checkpoint = firstCheckpoint(state(0, { [name]: start }), 3);
    for (const [round, ofRound] of moves.entries()) {
      const before = values(checkpoint.shared, name);
      const states = ofRound.map((move) =>
        state(round + 1, { [name]: before.map((value, at) => value + (move[at] ?? NaN)) }),
      );
      checkpoint = mergeReplicas(checkpoint, states, { type: "nesterov", learningRate, momentum });
      near(values(checkpoint.shared, name), after[round]?.weights ?? []);
      near(values(checkpoint.outer, name), after[round]?.momentum ?? []);
    }
  });

  it("averages running statistics and averages of weights whatever the outer optimiser", () => {
    const names = ["weights/bn/moving_mean", "weights/bn/moving_variance", "average/bn/gamma"];
    const all = (value: number) => Object.fromEntries(names.map((name) => [name, [value]]));
    const from = firstCheckpoint(state(0, all(8)), 2);
    const outer = { type: "nesterov", learningRate: 0.7, momentum: 0.9 } as const;
    const { shared, outer: moved } = mergeReplicas(from, [state(1, all(1)), state(1, all(4))], outer);
    for (const name of names) assert.deepEqual(values(shared, name), [2.5]);
    assert.equal(moved.size, 0);
  });

  it("rounds the mean once: sums that float32 would round come out exactly", () => {
    const name = "weights/dense/bias";
    const from = firstCheckpoint(state(0, { [name]: [0] }), 3);
    const states = [2 ** 25, 3, -(2 ** 25)].map((value) => state(1, { [name]: [value] }));
    assert.deepEqual(values(mergeReplicas(from, states, { type: "average" }).shared, name), [1]);
  });

  it("keeps the bytes of a single replica, and each one's own moments", () => {
    const odd = [0.1, -1 / 3, 1e-40, -0];
    const own = (value: number) => state(5, { "weights/a/kernel": odd, "moments/m/a/kernel": [value] });
    const alone = own(0.7);
    const single = mergeReplicas(firstCheckpoint(alone, 1), [alone], { type: "average" });
    assert.deepEqual(encodeState(stateOfReplica(single, 0)), encodeState(alone));
    const pair = mergeReplicas(firstCheckpoint(alone, 2), [own(1), own(2)], { type: "average" });
    assert.equal(pair.step, 5);
    for (const [replica, value] of [1, 2].entries())
      assert.deepEqual(values(stateOfReplica(pair, replica).tensors, "moments/m/a/kernel"), [value]);
    assert.throws(() => stateOfReplica(pair, 2), { code: "corrupt" });
  });

  it("refuses changes of another network or of another number of steps", () => {
    const from = firstCheckpoint(state(0, { "weights/a/kernel": [1, 2] }), 2);
    const fits = state(1, { "weights/a/kernel": [1, 2] });
    for (const other of [
      state(2, { "weights/a/kernel": [1, 2] }),
      state(1, { "weights/a/kernel": [1] }),
      state(1, {}),
    ])
      assert.throws(() => mergeReplicas(from, [fits, other], { type: "average" }), { code: "corrupt" });
    assert.throws(() => mergeReplicas(from, [fits], { type: "average" }), { code: "corrupt" });
  });
});

describe("a checkpoint as safetensors", () => {
  const checkpoint: Checkpoint = {
    step: 12,
    shared: state(0, { "weights/block/conv/kernel": [1, 2, 3], "average/block/conv/kernel": [4] }).tensors,
    outer: state(0, { "weights/block/conv/kernel": [5, 6, 7] }).tensors,
    replicas: [8, 9].map((value) => state(0, { "moments/m/block/conv/kernel": [value] }).tensors),
  };

  it("holds everything that the next round starts from", () => {
    const bytes = encodeCheckpoint(checkpoint);
    const sorted = (of: ReadonlyMap<string, NamedTensor>) => [...of].sort(([a], [b]) => (a < b ? -1 : 1));
    const found = decodeCheckpoint(bytes, "it");
    assert.equal(found.step, 12);
    assert.deepEqual(sorted(found.shared), sorted(checkpoint.shared));
    assert.deepEqual(sorted(found.outer), sorted(checkpoint.outer));
    assert.deepEqual(found.replicas.map(sorted), checkpoint.replicas.map(sorted));
    assert.deepEqual(encodeCheckpoint(found), bytes);
  });

  it("is refused without its step, or as another file", () => {
    const change = encodeState(state(3, { "weights/a/kernel": [1] }));
    assert.equal(decodeState(change, "it").step, 3);
    assert.throws(() => decodeCheckpoint(change, "it"), { code: "corrupt", message: /how many replicas/ });
    assert.throws(() => decodeState(encodeCheckpoint(checkpoint).subarray(0, 100), "it"), {
      code: "corrupt",
    });
  });
});
