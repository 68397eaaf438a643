import { TrommelError } from "../../errors.js";
import type { BundleManifest } from "./bundle.js";

/** The label of an image that is too novel, or of too small a probability, for what is asked. */
export const unknownLabel = "unknown";

/** What is asked of an image before it is given a label. */
export interface AskedAcceptance {
  /** Images of a greater novelty are labelled `unknown`; 0 to 1. */
  readonly unknownAbove?: number | undefined;
  /** So are images whose largest probability is smaller: than one number, or than the threshold of its class. */
  readonly minProbability?: number | "thresholds" | undefined;
}

/** What an image must pass to be given a label. */
export interface Acceptance {
  /** The greatest novelty that is accepted; null if any is. */
  readonly novelty: number | null;
  /** The least probability, by the number of the label, null where none is accepted; null if any is. */
  readonly probability: readonly (number | null)[] | null;
}

/** Whether anything is asked, so that images may be labelled `unknown`. */
export function mayBeUnknown({ unknownAbove, minProbability }: AskedAcceptance): boolean {
  return unknownAbove !== undefined || minProbability !== undefined;
}

/**
 * What images must pass, by what is asked and what the model can tell.
 * @param location names the model in errors
 * @throws TrommelError `invalid-argument` for what is no share, `unsupported` for what the model cannot tell
 */
export function acceptanceOf(
  asked: AskedAcceptance,
  { labels, novelty, thresholds }: Pick<BundleManifest, "labels" | "novelty" | "thresholds">,
  location: string,
): Acceptance {
  if (!mayBeUnknown(asked)) return { novelty: null, probability: null };
  const { unknownAbove, minProbability } = asked;
  if (labels.includes(unknownLabel))
    throw new TrommelError(
      "unsupported",
      `cannot label images '${unknownLabel}': the model ${location} has a class of that name. Leave --unknown-above and --min-probability out, or rename the class and train again`,
    );
  if (unknownAbove !== undefined) requireShare("--unknown-above", unknownAbove);
  if (unknownAbove !== undefined && novelty === null)
    throw new TrommelError(
      "unsupported",
      `cannot use --unknown-above: the model ${location} does not tell how novel an image is. Train it with 'head: auto', or leave the flag out`,
    );
  const accepted = unknownAbove ?? null;
  if (minProbability === undefined) return { novelty: accepted, probability: null };
  if (minProbability !== "thresholds") {
    requireShare("--min-probability", minProbability);
    return { novelty: accepted, probability: labels.map(() => minProbability) };
  }
  if (thresholds === null)
    throw new TrommelError(
      "unsupported",
      `cannot use --min-probability thresholds: the model ${location} has none. Train it with 'head: auto', or give a number`,
    );
  const ofClasses = thresholds.perClass.map(({ threshold }) => threshold);
  if (ofClasses.every((threshold) => threshold === null))
    throw new TrommelError(
      "unsupported",
      `cannot use --min-probability thresholds: no class of the model ${location} is right in ${thresholds.precision} of the answers at any probability. Give a number, or train with a smaller head.precision`,
    );
  return { novelty: accepted, probability: ofClasses };
}

function requireShare(flag: string, value: number): void {
  if (value >= 0 && value <= 1) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot use ${flag} ${value}: it is a share. Give a number from 0 to 1`,
  );
}
