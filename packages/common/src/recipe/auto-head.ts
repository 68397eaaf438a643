import { z } from "zod";
import { TrommelError } from "../errors.js";
import { headRecipe, type HeadRecipe } from "./head-recipe.js";
import { trainingRecipe } from "./training-recipe.js";

/** A head with its hyper-parameters, tried on every fold: trained by steps, or solved to the optimum. */
export const candidateRecipe = z
  .object({
    /** Names it in reports. */
    name: z.string().min(1).max(40),
    /** Any head but `auto`. */
    head: headRecipe,
    /** How it is trained, for a fixed number of epochs; null for a linear head that is solved. */
    training: trainingRecipe.nullable().default(null),
    /**
     * L2 penalties of a linear head that is solved to its optimum, the largest first, each of them one choice; null for every
     * other head.
     */
    penalties: z
      .array(z.number().min(0))
      .min(1)
      .refine(
        (values) => values.every((value, at) => at === 0 || value < (values[at - 1] ?? 0)),
        "they descend",
      )
      .nullable()
      .default(null),
  })
  .strict()
  .refine(({ training, penalties }) => (training === null) !== (penalties === null), {
    path: ["training"],
    error: "a candidate has either training or penalties",
  })
  .refine(({ head, penalties }) => penalties === null || (head.type === "linear" && head.dropout === 0), {
    path: ["penalties"],
    error: "only a linear head without dropout is solved to its optimum",
  })
  .refine(({ training }) => training?.optimizer.type !== "lbfgs", {
    path: ["training", "optimizer"],
    error: "a candidate that is solved has penalties instead of training",
  })
  .refine(({ training }) => training?.schedule.type !== "plateau", {
    path: ["training", "schedule"],
    error: "a candidate has no validation part, which plateau needs; choose constant, cosine or square",
  });
export type CandidateRecipe = z.infer<typeof candidateRecipe>;

const autoHead = z
  .object({
    type: z.literal("auto"),
    /** How many candidates are tried: a linear head; a few heads; or all that are worth their time. */
    effort: z.enum(["quick", "default", "best"]).default("default"),
    /** Parts that the labelled images are divided into. Each is predicted by heads that were trained on the others. Null is 5, or 10 if the effort is `best`. */
    folds: z.int().min(2).max(20).nullable().default(null),
    /**
     * How often the images are divided into folds, differently each time. A candidate that is no linear head is trained on every division,
     * and an image's logits are the mean of those by the heads that never saw it. Null is 1, 3 or 5, depending on the effort; 1 if every candidate
     * is linear, with `heads: refit`, and if the recipe tunes.
     */
    repeats: z.int().min(1).max(10).nullable().default(null),
    /**
     * What the bundle holds: the heads of all folds, whose logits are averaged, or one head that is trained once more on all
     * images (smaller, and measured only through the others).
     */
    heads: z.enum(["folds", "refit"]).default("folds"),
    /** The out-of-fold figure that chooses the candidate. Within one standard error of the best, the simplest wins. */
    choose: z.enum(["logLoss", "balancedAccuracy", "macroF1"]).default("logLoss"),
    /** Trains the simplest candidate on a quarter, half and three quarters of the images too, to tell whether more would help. */
    learningCurve: z.boolean().default(true),
    /** Adds to the model how unlike the training images an image is. */
    novelty: z.boolean().default(true),
    /** The share of the accepted answers that should be right: gives every class the least probability from which on it is. */
    precision: z.number().gt(0).lt(1).default(0.95),
    /** The candidates, simplest first, instead of those of `effort`. */
    candidates: z.array(candidateRecipe).min(1).max(50).nullable().default(null),
    /** Training rows that a fold holds at most in memory, about; of more images a sample is trained on. */
    rowsAtMost: z.int().positive().default(400_000),
  })
  .strict();
export type AutoHead = z.infer<typeof autoHead>;

/** What a recipe's `head` may be. */
export const recipeHead = z.discriminatedUnion("type", [autoHead, ...headRecipe.options]);
export type RecipeHead = HeadRecipe | AutoHead;

/** The classifier that was tuned with the network: nothing of it is trained or solved afterwards. */
const tunedCandidate: CandidateRecipe = {
  name: "tuned",
  head: { type: "linear", dropout: 0, bias: true },
  training: null,
  penalties: null,
};

/** What a run that is divided into folds has for a head. @throws TrommelError `internal` for any other head */
export function autoHeadOf({
  id,
  recipe,
}: {
  readonly id: string;
  readonly recipe: { readonly head: RecipeHead; readonly tune: { readonly head: string } | null };
}): AutoHead {
  const { head, tune } = recipe;
  if (head.type === "auto") return tune?.head === "tuned" ? { ...head, candidates: [tunedCandidate] } : head;
  throw new TrommelError("internal", `cannot divide ${id} into folds: its head is ${head.type}`);
}

export function isAuto<R extends { readonly head: RecipeHead }>(
  recipe: R,
): recipe is R & { readonly head: AutoHead } {
  return recipe.head.type === "auto";
}

/** By steps, with what keeps a head from learning its images by heart. */
function trained(
  name: string,
  head: z.input<typeof headRecipe>,
  { epochs, learningRate }: { readonly epochs: number; readonly learningRate: number },
): CandidateRecipe {
  return candidateRecipe.parse({
    name,
    head,
    training: {
      epochs,
      mixup: 0.4,
      optimizer: { type: "adamw", learningRate, weightDecay: 0.05 },
      schedule: { type: "cosine" },
      keep: "last",
    },
  });
}

function perceptron(width: number, epochs: number): CandidateRecipe {
  return trained(
    `mlp-${width}`,
    { type: "mlp", hidden: [width], inputDropout: 0.4, dropout: 0.5 },
    { epochs, learningRate: 3e-3 },
  );
}

function linear(penalties: readonly number[]): CandidateRecipe {
  return candidateRecipe.parse({ name: "linear", head: { type: "linear" }, penalties });
}

const portfolios: Readonly<Record<AutoHead["effort"], readonly CandidateRecipe[]>> = {
  quick: [linear([0.3, 0.1, 0.03])],
  default: [linear([0.3, 0.1, 0.03, 0.01]), perceptron(512, 15)],
  best: [
    linear([1, 0.3, 0.1, 0.03, 0.01, 0.003]),
    trained(
      "se",
      { type: "se", inputDropout: 0.4, dropout: 0.5, outputDropout: 0.2 },
      { epochs: 15, learningRate: 1e-3 },
    ),
    perceptron(256, 15),
    perceptron(512, 15),
    perceptron(1024, 20),
  ],
};

/** How many folds a recipe asks for. */
export function foldsOf({ folds, effort }: AutoHead): number {
  return folds ?? (effort === "best" ? 10 : 5);
}

const repeatsByEffort: Readonly<Record<AutoHead["effort"], number>> = { quick: 1, default: 3, best: 5 };

/** How often a recipe divides the images into folds. */
export function repeatsOf(head: AutoHead): number {
  return head.repeats ?? (whyOnce(head) === undefined ? repeatsByEffort[head.effort] : 1);
}

/**
 * Whether a candidate is trained on every division. A linear head is not: its loss is convex, so that seeds change nothing, and other
 * divisions change little.
 */
export function isRepeated({ head }: CandidateRecipe): boolean {
  return head.type !== "linear";
}

/** Why one division is all that a head can use; undefined if it can use more. */
function whyOnce(head: AutoHead): string | undefined {
  if (head.heads === "refit")
    return "with head.heads refit the bundle holds one head, which the figures of several heads together would flatter";
  if (!candidatesOf(head).some(isRepeated))
    return "every candidate is a linear head, which is trained on one division";
  return undefined;
}

/** Several divisions where one is all that can be used. */
export function refuseUnusedRepeats({ head }: { readonly head: RecipeHead }, context: z.RefinementCtx): void {
  if (head.type !== "auto" || head.repeats === null || head.repeats === 1) return;
  const why = whyOnce(head);
  if (why === undefined) return;
  const message = `head.repeats is ${head.repeats}, and ${why}; leave head.repeats out`;
  context.addIssue({ code: "custom", path: ["head", "repeats"], message });
}

/** The candidates of a recipe, simplest first. */
export function candidatesOf({ candidates, effort }: AutoHead): readonly CandidateRecipe[] {
  return candidates ?? portfolios[effort];
}
