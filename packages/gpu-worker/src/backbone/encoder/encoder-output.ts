import { TrommelError, tokenPoolings, type OutputPooling } from "@trommel/common";
import { valueNames } from "../../graph/onnx/onnx-prune.js";
import type { ModelProto } from "../../graph/onnx/onnx-proto.js";

/** Names by which exporters call an embedding, or the tokens that it is pooled from; the first that exists is taken. */
const usualOutputs = ["image_embeds", "pooler_output", "last_hidden_state"];

export interface OutputChoice {
  /** Named by the caller. */
  readonly output?: string;
  /** A pooling of tokens asks for an output that has tokens. */
  readonly pooling?: OutputPooling;
  /** Names in the order of the encoder's configuration. @default usualOutputs */
  readonly preferred?: readonly string[];
}

/**
 * The tensor that holds the embedding, or what it is pooled from: the named one, the only output, or one of several that has
 * a usual name.
 * @throws TrommelError `invalid-argument` if several outputs have no usual name, `not-found` for an unknown tensor
 */
export function chooseOutput(model: ModelProto, choice: OutputChoice): { output: string; others: string[] } {
  const outputs = (model.graph?.output ?? []).map(({ name = "" }) => name);
  const { output } = choice;
  if (output !== undefined) {
    const names = valueNames(model.graph ?? {});
    if (names.has(output)) return { output, others: [] };
    throw new TrommelError(
      "not-found",
      `cannot import the encoder: it has no tensor "${output}". Its outputs are ${outputs.join(", ")}; ` +
        `the last of its ${names.size} tensors are ${[...names].slice(-8).join(", ")}`,
    );
  }
  const [only, ...more] = outputs;
  if (only !== undefined && more.length === 0) return { output: only, others: [] };
  const isOfTokens = (tokenPoolings as readonly (string | undefined)[]).includes(choice.pooling);
  const wanted = isOfTokens ? ["last_hidden_state"] : (choice.preferred ?? usualOutputs);
  const found = wanted.find((name) => outputs.includes(name));
  if (found !== undefined) return { output: found, others: outputs.filter((name) => name !== found) };
  throw new TrommelError(
    "invalid-argument",
    `cannot import the encoder: it has ${outputs.length} outputs (${outputs.join(", ")}). Choose one with --output`,
  );
}
