import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError, headRecipe, trainingRecipe, type TrainingRecipe } from "@trommel/common";
import { initialWeights } from "#gpu-worker/head/model/head-model";
import { trainHead, type TrainHeadInputs } from "#gpu-worker/head/train-head";
import { decodeTrainingState, type Checkpoints } from "#gpu-worker/head/training-state";
import { toyProblem } from "../../../support/runs/toy-problem.js";

/** Every state that was saved, by number. */
class KeptCheckpoints implements Checkpoints {
  readonly saved = new Map<number, { bytes: Uint8Array; bestEpoch: number }>();
  /** Number after which the training is to stop. */
  readonly abort = new AbortController();
  constructor(readonly stopAfter = Number.POSITIVE_INFINITY) {}

  load() {
    const last = Math.max(...this.saved.keys());
    const found = this.saved.get(last);
    return Promise.resolve(found === undefined ? undefined : { name: String(last), bytes: found.bytes });
  }

  save(number: number, bestEpoch: number, bytes: Uint8Array) {
    this.saved.set(number, { bytes, bestEpoch });
    if (number === this.stopAfter) this.abort.abort();
    return Promise.resolve();
  }
}

const epochs = 4;

describe("checkpoints", () => {
  for (const [optimizer, schedule] of [
    ["adam", "plateau"],
    ["nadam", "cosine"],
    ["sgd", "square"],
  ] as const) {
    for (const refit of [false, true]) {
      it(`let training go on to the same bytes: ${optimizer}, ${schedule}${refit ? ", refit" : ""}`, async () => {
        const inputs = problem({
          optimizer: { type: optimizer, learningRate: 0.02 },
          schedule: { type: schedule },
          refit,
        });
        const whole = new KeptCheckpoints();
        const undisturbed = await trainHead({ ...inputs, checkpoints: whole });
        assert.deepEqual(await trainHead(inputs), undisturbed, "saving changes nothing");
        const count = epochs + (refit ? undisturbed.bestEpoch : 0);
        assert.deepEqual(
          [...whole.saved.keys()],
          Array.from({ length: count }, (_, i) => i + 1),
        );
        for (let stopAfter = 1; stopAfter < count; stopAfter += 1) {
          const stopped = new KeptCheckpoints(stopAfter);
          const { signal } = stopped.abort;
          await assert.rejects(trainHead({ ...inputs, checkpoints: stopped, signal }), isError("cancelled"));
          assert.equal(stopped.saved.size, stopAfter);
          const seen: number[] = [];
          const onEpoch = ({ epoch }: { epoch: number }) => void seen.push(epoch);
          assert.deepEqual(await trainHead({ ...inputs, checkpoints: stopped, onEpoch }), undisturbed);
          assert.equal(seen[0], stopAfter < epochs ? stopAfter + 1 : undefined, "no epoch is repeated");
          assert.deepEqual(stopped.saved, whole.saved);
        }
        // From the last state, nothing is left to do.
        const before = whole.saved.size;
        assert.deepEqual(await trainHead({ ...inputs, checkpoints: whole }), undisturbed);
        assert.equal(whole.saved.size, before);
      });
    }
  }

  it("name the best epoch so far, and hold its weights", async () => {
    const inputs = problem({ keep: "loss", optimizer: { type: "sgd", learningRate: 0.5 } });
    const kept = new KeptCheckpoints();
    const { history } = await trainHead({ ...inputs, checkpoints: kept });
    const initial = initialWeights(inputs.head, 12, 3, inputs.seed);
    for (const [number, { bytes, bestEpoch }] of kept.saved) {
      const losses = history.slice(0, number).map(({ validationLoss }) => validationLoss);
      assert.equal(bestEpoch, losses.lastIndexOf(Math.min(...losses)) + 1);
      const state = decodeTrainingState(bytes, "state", inputs.head, initial);
      const best = kept.saved.get(bestEpoch)?.bytes ?? new Uint8Array();
      assert.deepEqual(state.best.weights, decodeTrainingState(best, "best", inputs.head, initial).weights);
      assert.deepEqual(state.history, history.slice(0, number));
    }
  });

  it("are refused where they are of another head", async () => {
    const inputs = problem({});
    const kept = new KeptCheckpoints();
    await trainHead({ ...inputs, checkpoints: kept });
    const linear = { ...inputs, head: headRecipe.parse({ type: "linear" }), checkpoints: kept };
    await assert.rejects(trainHead(linear), isError("corrupt"));
  });
});

describe("refit", () => {
  it("is the training of as many epochs on all rows, at the same rates over the epochs", async () => {
    for (const schedule of ["plateau", "cosine"] as const) {
      const inputs = problem({
        schedule: { type: schedule, warmupEpochs: 1 },
        keep: "loss",
        optimizer: { type: "adam", learningRate: 0.3 },
      });
      const measured = await trainHead(inputs);
      const training = { ...inputs.training, refit: true };
      const refitted = await trainHead({ ...inputs, training });
      assert.deepEqual(refitted.history, measured.history);
      assert.deepEqual(refitted.measuredWeights, measured.weights);
      assert.equal(refitted.bestEpoch, measured.bestEpoch);
      assert.ok(measured.bestEpoch > 1 && measured.bestEpoch <= epochs);
      assert.notDeepEqual(refitted.weights, measured.weights);
      const rates = refitted.refit?.map(({ learningRate }) => learningRate) ?? [];
      assert.equal(rates.length, measured.bestEpoch);
      for (const [i, rate] of rates.entries()) {
        const before = measured.history[i]?.learningRate ?? 0;
        // The last of 16 steps instead of 10, so a little further down the cosine.
        if (schedule === "plateau") assert.equal(rate, before);
        else
          assert.ok(
            rate <= before && rate > before - 0.3 * (Math.PI / 2 / 5) * (1 / 10),
            `${rate} ${before}`,
          );
      }
    }
  });

  it("has the weights of a plain training on training rows and rows held back", async () => {
    const inputs = problem({ refit: true, keep: "last", schedule: { type: "cosine", warmupEpochs: 2 } });
    const { weights, refit } = await trainHead(inputs);
    const joined = {
      features: Float32Array.of(...inputs.train.features, ...(inputs.heldBack?.features ?? [])),
      labels: Int32Array.of(...inputs.train.labels, ...(inputs.heldBack?.labels ?? [])),
    };
    const training = { ...inputs.training, refit: false };
    const plain = await trainHead({ ...inputs, train: joined, training });
    assert.deepEqual(weights, plain.weights);
    assert.deepEqual(
      refit,
      plain.history.map(({ validationLoss: _, validationAccuracy: __, ...record }) => record),
    );
  });
});

/** The toy problem with a short training; the rows held back are two views of the validation rows. */
function problem(training: Readonly<Record<string, unknown>>): TrainHeadInputs {
  const toy = toyProblem(headRecipe.parse({ type: "se", reduction: 4, outputDropout: 0.2 }));
  const { features, labels } = toy.validation;
  const heldBack = {
    features: Float32Array.of(...features, ...features.map((value) => 1.1 * value)),
    labels: Int32Array.of(...labels, ...labels),
  };
  const parsed: TrainingRecipe = trainingRecipe.parse({ epochs, batchSize: 32, ...training });
  return { ...toy, heldBack, training: parsed };
}

function isError(code: string) {
  return (thrown: unknown) => thrown instanceof TrommelError && thrown.code === code;
}
