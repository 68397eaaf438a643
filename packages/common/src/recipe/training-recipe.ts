import { z } from "zod";
import { defaultType } from "./default-type.js";
import { refuseUnsolvableTraining } from "./solver-rules.js";

const openFraction = z.number().gt(0).lt(1);

/** An L2 penalty: this times the weight is added to every weight's gradient. */
const weightDecay = z.number().min(0).default(0);
/** Decay of the first moment. */
const beta1 = z.number().min(0).lt(1).default(0.9);
/** Decay of the second moment. */
const beta2 = z.number().min(0).lt(1).default(0.999);
/** Added to the root of the second moment. */
const epsilon = z.number().positive().default(1e-7);

const classWeight = z.number().positive();
/** Not `z.record`, which drops the class `__proto__`; the JSON Schema is that of a record. */
const weightsByClass = z.custom<Readonly<Record<string, number>>>(isWeightsByClass).meta({
  type: "object",
  propertyNames: { type: "string", minLength: 1 },
  additionalProperties: { type: "number", exclusiveMinimum: 0 },
});

function isWeightsByClass(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(
    ([name, weight]) => name !== "" && classWeight.safeParse(weight).success,
  );
}

const adam = z
  .object({
    type: z.literal("adam"),
    learningRate: z.number().positive().default(5e-3),
    beta1,
    beta2,
    epsilon,
    weightDecay,
  })
  .strict();

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), as PyTorch computes it. */
const adamw = z
  .object({
    type: z.literal("adamw"),
    learningRate: z.number().positive().default(1e-3),
    beta1,
    beta2,
    /** Added to the root of the second moment after its correction. */
    epsilon: z.number().positive().default(1e-8),
    /** In each step a kernel's weights lose this times the learning rate of their value. Biases do not decay. */
    weightDecay: z.number().min(0).default(0.05),
  })
  .strict();

/** Adam with Nesterov momentum (Dozat 2016), as Keras 2 computes it. */
const nadam = z
  .object({
    type: z.literal("nadam"),
    learningRate: z.number().positive().default(2e-3),
    beta1,
    beta2,
    epsilon,
    /** Decay of the momentum schedule. */
    scheduleDecay: z.number().min(0).lt(1).default(4e-3),
    weightDecay,
  })
  .strict();

/**
 * Solves a linear head to its optimum instead of training it, by L-BFGS (Nocedal & Wright 2006) over all rows. Epochs, batches,
 * schedule and `keep` do not apply.
 */
const lbfgs = z
  .object({
    type: z.literal("lbfgs"),
    /** Penalty λ of the objective: mean weighted loss + (λ / 2) · sum of the kernel's squares. Biases have none. */
    l2: z.number().min(0).default(1e-3),
    /** The search ends where no entry of the gradient is larger. */
    tolerance: z.number().positive().default(1e-6),
    /** It is an error if the tolerance is not reached by then. */
    maxIterations: z.int().positive().default(2000),
  })
  .strict();

const sgd = z
  .object({
    type: z.literal("sgd"),
    learningRate: z.number().positive().default(1e-2),
    /** Share of the last step that is kept. */
    momentum: z.number().min(0).lt(1).default(0.9),
    /** Nesterov momentum. */
    nesterov: z.boolean().default(false),
    weightDecay,
  })
  .strict();

export const optimizerRecipe = z.discriminatedUnion("type", [adam, adamw, nadam, lbfgs, sgd]);
export type OptimizerRecipe = z.infer<typeof optimizerRecipe>;
/** The optimisers that train step by step. */
export type StepOptimizerRecipe = Exclude<OptimizerRecipe, { type: "lbfgs" }>;

/** A network that has learned before is tuned at smaller rates than a new head is trained at. */
const tuningRate = z.number().positive().default(5e-4);
export const tuningOptimizerRecipe = z.discriminatedUnion("type", [
  adam.extend({ learningRate: tuningRate }),
  adamw.extend({ learningRate: tuningRate }),
  nadam.extend({ learningRate: tuningRate }),
  sgd,
]);

/** Epochs in which the rate rises linearly, step by step, from zero to the learning rate. */
const warmupEpochs = z.int().min(0).default(0);

export const scheduleRecipe = z.discriminatedUnion("type", [
  /** Learning rate times `factor` after `patience` epochs without better validation loss, not under `minimum`. */
  z
    .object({
      type: z.literal("plateau"),
      factor: openFraction.default(0.2),
      patience: z.int().positive().default(5),
      minimum: z.number().positive().default(1e-5),
      warmupEpochs,
    })
    .strict(),
  z.object({ type: z.literal("constant"), warmupEpochs }).strict(),
  /** Half a cosine from the learning rate down to `minimum`, step by step. */
  z.object({ type: z.literal("cosine"), minimum: z.number().min(0).default(0), warmupEpochs }).strict(),
  /** The square of the share of steps that are left, from the learning rate down to `minimum`. */
  z.object({ type: z.literal("square"), minimum: z.number().min(0).default(0), warmupEpochs }).strict(),
]);
export type ScheduleRecipe = z.infer<typeof scheduleRecipe>;

/** Whether the end of a cosine or square decay lies above its beginning. A plateau below its minimum stays where it is. */
export function endsAbove(schedule: ScheduleRecipe, optimizer: OptimizerRecipe): boolean {
  if (optimizer.type === "lbfgs") return false;
  const { learningRate } = optimizer;
  return (schedule.type === "cosine" || schedule.type === "square") && schedule.minimum > learningRate;
}

/** Two fields are compared only if each of them is legal: otherwise the fault of one would be reported as two. */
const when = ({ issues }: { readonly issues: readonly unknown[] }): boolean => issues.length === 0;

export const trainingRecipe = z
  .object({
    /** Passes over the training images. */
    epochs: z.int().positive().default(100),
    /** Rows per step. */
    batchSize: z.int().positive().default(64),
    /** Share of the target that is spread evenly over all classes. */
    labelSmoothing: z.number().min(0).lt(1).default(0),
    /**
     * Mixup (Zhang et al. 2018): every row is mixed with another of its batch, features and target alike, at a share that is
     * drawn for each batch from Beta(mixup, mixup). 0 mixes nothing.
     */
    mixup: z.number().min(0).default(0),
    /**
     * How much each row's loss weighs, by its class: all alike, `balanced` (rows / (classes · rows of the class)), its root
     * `sqrt`, or a weight for each named class, 1 for the others. The loss is divided by the weights' sum.
     */
    classWeights: z
      .union(
        [z.enum(["none", "balanced", "sqrt"]), weightsByClass],
        "legal are balanced, sqrt, none, or a mapping of class names to weights above zero",
      )
      .default("none"),
    /**
     * The rows of an epoch: each once, or as many but equally many of each class. A solved candidate of `head: auto` has no epochs:
     * for it every class has the same total weight, times its class weight.
     */
    sampling: z.enum(["natural", "balanced"]).default("natural"),
    optimizer: defaultType("adam", optimizerRecipe).prefault({}),
    schedule: defaultType("plateau", scheduleRecipe).prefault({}),
    /**
     * Which epoch's weights become the head: best validation accuracy, balanced accuracy (the mean of the classes' recalls) or
     * macro F1, least validation loss (the later on a tie), or the last.
     */
    keep: z.enum(["accuracy", "balancedAccuracy", "macroF1", "loss", "last"]).default("accuracy"),
    /** A last training on all images, validation included, for as many epochs as were kept, at the same rates. */
    refit: z.boolean().default(false),
    /** Writes the state of training after every epoch, so that a retry continues from there; the best epoch's stays. */
    checkpoints: z.boolean().default(false),
  })
  .strict()
  .refine(({ epochs, schedule }) => schedule.warmupEpochs < epochs, {
    when,
    path: ["schedule", "warmupEpochs"],
    error:
      "a warm-up has fewer epochs than training.epochs; lower it with --set training.schedule.warmupEpochs=<n>, or train longer",
  })
  .refine(({ optimizer, schedule }) => !endsAbove(schedule, optimizer), {
    when,
    path: ["schedule", "minimum"],
    error: "the rate that a schedule falls to is at most the optimizer's learningRate",
  })
  .superRefine(refuseUnsolvableTraining, { when });
export type TrainingRecipe = z.infer<typeof trainingRecipe>;
