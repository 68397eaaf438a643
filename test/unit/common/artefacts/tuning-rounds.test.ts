import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recipe } from "@trommel/common";
import {
  epochLosses,
  foldRunsOf,
  foldUnits,
  heldOutFoldOf,
  isTuned,
  keptRound,
  replicaJob,
  replicaOfJob,
  roundSpan,
  tuningRounds,
  untunedOf,
  type RoundFigures,
} from "@trommel/common/artefacts";
import { autoHeadOf } from "@trommel/common/recipe";

const parse = (fields: object) => {
  const { tune } = recipe.parse({ backbones: ["net"], tune: fields });
  if (tune === null) throw new Error("the recipe tunes nothing");
  return tune;
};
const mobileNet = { parameterCount: 1_832_976, inputSize: 224 };
const resNet = { parameterCount: 23_587_712, inputSize: 224 };

const figures = (losses: readonly number[], accuracies: readonly number[] = []): RoundFigures[] =>
  losses.map((loss, round) => ({
    ...{ round, epoch: 1 + Math.floor(round / 2), steps: round + 1 },
    training: { loss, accuracy: 0.5 },
    heldOut: { images: 10, loss, accuracy: accuracies[round] ?? 0.5 },
  }));

describe("the rounds of a tuning", () => {
  it("cut each epoch into rounds of the wanted steps, the last one shorter", () => {
    const rounds = tuningRounds(
      parse({ batchSize: 10, replicas: 2, localSteps: 3, epochs: 2 }),
      168,
      mobileNet,
    );
    assert.deepEqual(
      { ...rounds },
      {
        images: 168,
        batchSize: 10,
        replicas: 2,
        epochs: 2,
        stepsPerEpoch: 8,
        localSteps: 3,
        roundsPerEpoch: 3,
        rounds: 6,
      },
    );
    assert.deepEqual(
      [0, 1, 2, 3, 5].map((round) => roundSpan(rounds, round)),
      [
        { epoch: 1, firstStep: 0, steps: 3, endsEpoch: false },
        { epoch: 1, firstStep: 3, steps: 3, endsEpoch: false },
        { epoch: 1, firstStep: 6, steps: 2, endsEpoch: true },
        { epoch: 2, firstStep: 0, steps: 3, endsEpoch: false },
        { epoch: 2, firstStep: 6, steps: 2, endsEpoch: true },
      ],
    );
  });

  it("choose their own length by network, batch and images alone", () => {
    const steps = (tune: object, images: number, network: typeof resNet) =>
      tuningRounds(parse(tune), images, network).localSteps;
    // 2e14 / (parameters · pixels · images of a step), and rounds of an epoch equally long.
    assert.equal(steps({}, 32 * 1000, mobileNet), 67);
    assert.equal(steps({}, 32 * 70, mobileNet), 35);
    assert.equal(steps({ batchSize: 16 }, 16 * 1000, resNet), 11);
    assert.equal(steps({}, 32 * 5, mobileNet), 5);
    assert.equal(steps({ localSteps: 100 }, 32 * 5, mobileNet), 5);
  });

  it("refuse a batch that is larger than a replica's part", () => {
    assert.throws(() => tuningRounds(parse({ batchSize: 32, replicas: 4 }), 100, mobileNet), {
      code: "invalid-argument",
      message:
        "cannot tune on 100 images in batches of 32: each of the 4 replicas has 25 of them. Set tune.batchSize to 25 or less, or tune.replicas to 3 or less",
    });
    const adviceFor = (images: number, fields: object): string => {
      try {
        tuningRounds(parse(fields), images, mobileNet);
      } catch (thrown) {
        return (thrown as Error).message.replace(/^.*\. /, "");
      }
      return "";
    };
    // No batch has a single image.
    assert.equal(adviceFor(34, { batchSize: 8, replicas: 20 }), "Set tune.replicas to 4 or less");
    assert.equal(adviceFor(34, { batchSize: 64 }), "Set tune.batchSize to 34 or less");
    assert.equal(
      adviceFor(5, { batchSize: 8, replicas: 4 }),
      "Set tune.replicas to 1 and tune.batchSize to 2",
    );
    assert.equal(adviceFor(1, {}), "Add images");
  });

  it("number the jobs of all replicas", () => {
    const jobs = [0, 1].flatMap((round) =>
      [0, 1, 2].map((replica) => replicaJob({ replicas: 3 }, round, replica)),
    );
    assert.deepEqual(jobs, [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(replicaOfJob({ replicas: 3 }, 5), { round: 1, replica: 2 });
  });

  it("end with the last, or once the loss has not fallen for the recipe's patience, in epochs", () => {
    const rounds = tuningRounds(parse({ batchSize: 10, localSteps: 1, epochs: 5 }), 20, mobileNet);
    assert.equal(rounds.roundsPerEpoch, 2);
    const losses = [9, 3, 0, 2, 9, 4, 9, 5];
    assert.deepEqual(epochLosses(figures(losses), 2), [3, 2, 4, 5]);
    const ends = (patience: number | null, count: number) =>
      isTuned(figures(losses.slice(0, count)), rounds, { patience });
    assert.deepEqual(
      [4, 5, 6, 7, 8].map((count) => ends(1, count)),
      [false, false, true, false, true],
    );
    assert.deepEqual(
      [6, 8].map((count) => ends(2, count)),
      [false, true],
    );
    assert.equal(ends(null, 8), false);
    assert.equal(isTuned(figures(new Array<number>(10).fill(1)), rounds, { patience: null }), true);
  });

  it("keep the checkpoint of the last round, of the least loss or of the best accuracy", () => {
    const of = figures([3, 1, 1, 2], [0.5, 0.6, 0.7, 0.7]);
    assert.deepEqual([keptRound(of, "last"), keptRound(of, "loss"), keptRound(of, "accuracy")], [3, 1, 2]);
  });
});

describe("a run that tunes", () => {
  const tuned = (id: string, fields: object, foldOf?: { run: string; fold: number }) => ({
    ...{ id, recipe: recipe.parse({ backbones: ["net"], tune: fields }) },
    ...(foldOf === undefined ? {} : { foldOf }),
  });

  it("holds the first fold out, or is one of several that hold out a fold each, or holds out none", () => {
    const facts = (of: ReturnType<typeof tuned>) => [untunedOf(of), foldRunsOf(of), heldOutFoldOf(of)];
    assert.deepEqual(facts(tuned("x", {})), ["x-untuned", [], 0]);
    assert.deepEqual(facts(tuned("x", { folds: 3 })), [
      "x-untuned",
      ["x-fold-1", "x-fold-2", "x-fold-3"],
      null,
    ]);
    const third = tuned("x-fold-3", { folds: 3 }, { run: "x", fold: 2 });
    assert.deepEqual(facts(third), ["x-untuned", [], 2]);
  });

  it("chooses nothing by a round of which no image was held out", () => {
    const round = { round: 0, epoch: 1, steps: 1, training: { loss: 1, accuracy: 1 }, heldOut: null };
    assert.equal(keptRound([round, { ...round, round: 1 }], "last"), 1);
    assert.throws(() => keptRound([round], "loss"), {
      code: "internal",
      message: /round 1: no image was held/,
    });
    assert.throws(() => epochLosses([round], 1), { code: "internal" });
  });
});

describe("the head of a run that tunes", () => {
  it("is tried on the single held-out fold, without a learning curve", () => {
    const parsed = recipe.parse({ backbones: ["net"], tune: {} });
    const head = autoHeadOf({ id: "run", recipe: parsed });
    assert.ok(head.learningCurve);
    assert.deepEqual(foldUnits(head, { folds: 1 }), [
      { candidate: 1, repeat: 0, fold: 0, share: 1 },
      { candidate: 0, repeat: 0, fold: 0, share: 1 },
    ]);
  });
});
