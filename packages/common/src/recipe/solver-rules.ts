import type { z } from "zod";

interface Training {
  readonly optimizer: { readonly type: string };
  readonly mixup: number;
  readonly sampling: string;
  readonly checkpoints: boolean;
}

interface Head {
  readonly type: string;
  readonly dropout?: number;
}

/** What `lbfgs` cannot do with a training: it solves one objective over all rows, without chance and without epochs. */
export function refuseUnsolvableTraining(training: Training, context: z.RefinementCtx): void {
  if (training.optimizer.type !== "lbfgs") return;
  const refuse = (field: string, legal: string): void => {
    const message = `lbfgs solves the head for all rows at once; set training.${field} to ${legal}, or choose another optimizer`;
    context.addIssue({ code: "custom", path: [field], message });
  };
  if (training.mixup !== 0) refuse("mixup", "0");
  if (training.sampling !== "natural") refuse("sampling", "natural");
  if (training.checkpoints) refuse("checkpoints", "false");
}

/** What `lbfgs` cannot solve: only a linear head without dropout has an optimum that it can find. */
export function refuseUnsolvableHead(
  { head, training }: { readonly head: Head; readonly training: Training },
  context: z.RefinementCtx,
): void {
  if (training.optimizer.type !== "lbfgs") return;
  const refuse = (path: string[], advice: string): void => {
    const message = `lbfgs solves linear heads without dropout; ${advice}, or choose another optimizer`;
    context.addIssue({ code: "custom", path, message });
  };
  if (head.type !== "linear") refuse(["training", "optimizer", "type"], "set head.type to linear");
  else if (head.dropout !== 0) refuse(["head", "dropout"], "set head.dropout to 0");
}
