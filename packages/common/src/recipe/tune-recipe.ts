import { z } from "zod";
import type { RecipeHead } from "./auto-head.js";
import { defaultType } from "./default-type.js";
import { endsAbove, scheduleRecipe, trainingRecipe, tuningOptimizerRecipe } from "./training-recipe.js";

/** How the replicas of a round become the next checkpoint. */
export const outerRecipe = z.discriminatedUnion("type", [
  /** The mean of the replicas. */
  z.object({ type: z.literal("average") }).strict(),
  /**
   * DiLoCo (Douillard et al. 2023): the checkpoint less the mean of the replicas is the gradient of one step of stochastic gradient
   * descent with Nesterov momentum.
   */
  z
    .object({
      type: z.literal("nesterov"),
      learningRate: z.number().positive().default(0.7),
      momentum: z.number().min(0).lt(1).default(0.9),
    })
    .strict(),
]);
export type OuterRecipe = z.infer<typeof outerRecipe>;

/** Two fields are compared only if each of them is legal: otherwise the fault of one would be reported as two. */
const when = ({ issues }: { readonly issues: readonly unknown[] }): boolean => issues.length === 0;

interface ChosenByLosses {
  readonly folds: number;
  readonly networks: string;
  readonly keep: string;
  readonly patience: number | null;
  readonly schedule: { readonly type: string };
  readonly from: string | null;
}

/** With several folds the network of the model has no held-out images: nothing may look at their loss. */
function refuseChoiceByFolds(tune: ChosenByLosses, context: z.RefinementCtx): void {
  const { folds, networks, keep, patience, schedule, from } = tune;
  if (folds === 1) return;
  const why =
    networks === "refit"
      ? `with tune.folds ${folds} the network of the model sees every image, so no held-out image is left`
      : `with tune.folds ${folds} the images that a network holds out measure it, so none is left`;
  const refuse = (path: string[], message: string): void =>
    context.addIssue({ code: "custom", path, message });
  if (keep !== "last")
    refuse(["keep"], `${why} that could choose a checkpoint; set tune.keep to last, or tune.folds to 1`);
  if (patience !== null)
    refuse(["patience"], `${why} that could end it; leave tune.patience out and set tune.epochs`);
  if (schedule.type === "plateau")
    refuse(["schedule", "type"], `${why} that a plateau could be seen on; choose cosine or constant`);
  if (from !== null)
    refuse(["from"], "tune.from continues one network, and tune.folds tunes several; leave one of them out");
}

/** Trains layers of the backbone itself, in rounds of independent jobs, before the head is trained on what it yields. */
export const tuneRecipe = z
  .object({
    /**
     * Which layers train: `all`; the last `half` of the network's blocks, or the `last` so many of them; or those of these names, each
     * the name of a layer or the beginning of some, such as `block14`. The classifier on top always trains.
     */
    blocks: z
      .union(
        [
          z.enum(["all", "half"]),
          z.object({ last: z.int().positive() }).strict(),
          z.array(z.string().min(1)).min(1),
        ],
        "legal are all, half, { last: <number> } or a list of layers",
      )
      .default("half"),
    /** Jobs of a round, each of which trains on its own batches; what they come to is merged. */
    replicas: z.int().min(1).max(64).default(1),
    /**
     * Steps of each replica in a round: a worker that dies costs at most these. A round ends with its epoch. Null chooses them from the
     * size of network, batch and images alone, for about a minute on a core.
     */
    localSteps: z.int().positive().nullable().default(null),
    /** Images of every step. */
    batchSize: z.int().min(2).default(32),
    /** Passes over the images, each with other views of them. */
    epochs: z.int().positive().default(10),
    /** Weight decay is that of kernels alone. */
    optimizer: defaultType("adamw", tuningOptimizerRecipe).prefault({}),
    /** The learning rate of each block is this times that of the block above it; the classifier has the whole rate. */
    layerDecay: z.number().gt(0).max(1).default(1),
    /** `plateau` looks at the loss on the held-out images after every epoch. */
    schedule: defaultType("cosine", scheduleRecipe).prefault({ type: "cosine", warmupEpochs: 1 }),
    /** Share of the target that is spread evenly over all classes. */
    labelSmoothing: trainingRecipe.shape.labelSmoothing.unwrap().default(0.05),
    /**
     * Mixup (Zhang et al. 2018): the pixels of every image are mixed with those of another of its batch, and their targets alike, at a
     * share that is drawn for each batch from Beta(mixup, mixup). 0 mixes nothing.
     */
    mixup: trainingRecipe.shape.mixup,
    /** Dropout on the embedding, before the classifier. */
    dropout: z.number().min(0).lt(1).default(0),
    /** How much each image's loss weighs, by its class, as `training.classWeights`. */
    classWeights: trainingRecipe.shape.classWeights,
    /**
     * Batch normalisations of the layers that train: `batch` normalises by each batch and keeps running statistics for later;
     * `frozen` by the statistics that the network came with; `group` puts group normalisation in their place.
     */
    norm: z.enum(["batch", "frozen", "group"]).default("batch"),
    /** The share of a batch's statistics in the running ones. */
    statisticsMomentum: z.number().gt(0).max(1).default(0.05),
    /**
     * Squeeze-and-excitation (Hu et al. 2018) of the embedding, with a hidden layer of the embedding's length / `reduction`. It trains with
     * the network, whatever the blocks, and is its end afterwards; null adds none.
     */
    gate: z
      .object({ reduction: z.number().min(1).default(16) })
      .strict()
      .nullable()
      .default(null),
    /**
     * The head of the bundle: `auto` trains the candidates of `head` on what the tuned network yields; `tuned` is the classifier that was
     * tuned with the network, as it is. The run without tuning has the candidates in either case.
     */
    head: z.enum(["auto", "tuned"]).default("auto"),
    /** Bound on the norm of all gradients together; null bounds nothing. */
    clipNorm: z.number().positive().nullable().default(null),
    /**
     * Decay of an exponential average of the weights, which is then what is measured and kept, with the running statistics as they are; null
     * averages nothing.
     */
    averageDecay: z.number().gt(0).lt(1).nullable().default(null),
    /**
     * Bound on the memory of a process that tunes, in megabytes: values of the forward pass are computed again in the backward one as far
     * as it asks for. Null computes again what takes a single pass over a map.
     */
    memoryMb: z.int().min(200).nullable().default(null),
    /**
     * `mixed` computes convolutions and products in half precision, with weights, normalisations and loss in single, and leaves out a step
     * whose gradients overflow; on cuda alone.
     */
    precision: z.enum(["fp32", "mixed"]).default("fp32"),
    outer: defaultType("average", outerRecipe).prefault({}),
    /** Which checkpoint becomes the backbone: the last, or the one with the least loss or best accuracy on the held-out images. */
    keep: z.enum(["last", "loss", "accuracy"]).default("last"),
    /** Ends after so many epochs without a smaller loss on the held-out images; null never does. */
    patience: z.int().positive().nullable().default(null),
    /**
     * Networks that are tuned for the figures, each without one of so many parts of the images. With 1 the network of the model is that
     * one: the part that is held out chooses head and temperature, and the figures are those of the test part. With more the network of
     * the model is another one, which has seen every image but those of a test part, under one head that is trained on all of them;
     * the parts, each by the network that never saw it, choose and measure, and a test part has to be asked for.
     */
    folds: z.int().min(1).max(20).default(1),
    /**
     * The networks of the model, if there are several folds: `refit` tunes one more on all images, as above. `folds` takes those of the
     * folds, each with the heads that were trained on it, and averages their logits: nothing is tuned twice, and an image costs as much as
     * with that many networks, less what they have in common.
     */
    networks: z.enum(["refit", "folds"]).default("refit"),
    /** A tuned run whose network this one continues to train, instead of the backbone as it was imported. */
    from: z.string().min(1).nullable().default(null),
  })
  .strict()
  .refine(({ epochs, schedule }) => schedule.warmupEpochs < epochs, {
    when,
    path: ["schedule", "warmupEpochs"],
    error:
      "a warm-up has fewer epochs than tune.epochs; lower it with --set tune.schedule.warmupEpochs=<n>, or tune longer",
  })
  .refine(({ optimizer, schedule }) => !endsAbove(schedule, optimizer), {
    when,
    path: ["schedule", "minimum"],
    error: "the rate that a schedule falls to is at most the optimizer's learningRate",
  })
  .refine(({ folds, networks }) => networks === "refit" || folds > 1, {
    when,
    path: ["networks"],
    error: "there are networks of folds with several folds; set tune.folds, or leave tune.networks out",
  })
  .superRefine(refuseChoiceByFolds);
export type TuneRecipe = z.infer<typeof tuneRecipe>;

/** The share of every class that is tested on if the recipe does not say: the held-out images choose, so they measure nothing. */
const defaultTestShare = 0.15;

interface MayTune {
  readonly tune: TuneRecipe | null;
  readonly head: RecipeHead;
  readonly split: { readonly test: unknown };
}

/**
 * A recipe that tunes has a test part, or is measured on folds, of which there are as many as networks. It has one division: a network is
 * tuned without one fold of it, and the run without tuning is compared with that.
 */
export function withTuningParts<R extends MayTune>(recipe: R): R {
  const { tune, split } = recipe;
  if (tune === null) return recipe;
  const folds = tune.folds > 1 ? { folds: tune.folds } : {};
  const head = recipe.head.type === "auto" ? { ...recipe.head, ...folds, repeats: 1 } : recipe.head;
  const test = tune.folds > 1 ? split.test : (split.test ?? defaultTestShare);
  return { ...recipe, head, split: { ...split, test } };
}

/** What cannot be tuned, as far as the recipe alone tells. */
export function refuseUntunable(
  recipe: MayTune & {
    readonly backbones: readonly unknown[];
    readonly precision: string;
  },
  context: z.RefinementCtx,
): void {
  const { tune, head } = recipe;
  if (tune === null) return;
  const refuse = (path: string[], message: string): void =>
    context.addIssue({ code: "custom", path, message });
  if (recipe.backbones.length > 1)
    refuse(
      ["backbones"],
      `one backbone is tuned at a time, and the recipe has ${recipe.backbones.length}. Tune each in a run of its own, and name the tuned ones in a recipe without tune`,
    );
  if (head.type !== "auto")
    refuse(
      ["head", "type"],
      `tuning needs the head auto, whose folds say which images are held out, and the head is ${head.type}; leave the --head out`,
    );
  else if (tune.folds > 1 && head.folds !== null && head.folds !== tune.folds)
    refuse(
      ["head", "folds"],
      `head.folds is ${head.folds}, and a network is tuned for each of tune.folds ${tune.folds}; leave head.folds out, or make them equal`,
    );
  if (head.type === "auto" && (head.repeats ?? 1) > 1)
    refuse(
      ["head", "repeats"],
      `head.repeats is ${head.repeats}, and a network is tuned without one fold of a single division; leave head.repeats out`,
    );
  if (tune.head === "tuned" && head.type === "auto" && head.heads === "refit")
    refuse(
      ["head", "heads"],
      "the head is the tuned classifier, and nothing is trained once more; leave head.heads out, or tune.head",
    );
  else if (tune.networks === "folds" && head.type === "auto" && head.heads === "refit")
    refuse(
      ["head", "heads"],
      "with tune.networks folds each network has the head that was trained on it, and nothing is trained once more; leave head.heads out, or tune.networks",
    );
  if (recipe.precision !== "fp32")
    refuse(["precision"], `a network is tuned in fp32, and precision is ${recipe.precision}; leave it out`);
}
