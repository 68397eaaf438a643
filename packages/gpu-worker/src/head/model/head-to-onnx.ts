import type { HeadRecipe, HeadWeights } from "@trommel/common";
import type { GraphBuilder } from "../../graph/graph-builder.js";
import { checkHeadWeights, hiddenLayer, weightData } from "./head-model.js";

/**
 * Adds the head as it serves (no noise, no dropout) to a graph.
 * @param input name of a float32 [N, features]
 * @returns name of the logits, float32 [N, classes]
 * @throws TrommelError `corrupt` when the weights are not those of the head
 */
export function emitHead(
  builder: GraphBuilder,
  input: string,
  weights: HeadWeights,
  head: HeadRecipe,
): string {
  checkHeadWeights(head, weights);
  const dense = (x: string, name: string) => emitDense(builder, x, weights, name);
  const activations = {
    relu: (x: string) => builder.node("Relu", [x]),
    swish: (x: string) => builder.node("Mul", [x, builder.node("Sigmoid", [x])]),
    tanh: (x: string) => builder.node("Tanh", [x]),
  };
  switch (head.type) {
    case "se": {
      const gate = builder.node("Sigmoid", [
        dense(activations[head.activation](dense(input, "squeeze")), "excite"),
      ]);
      return dense(builder.node("Mul", [input, gate]), "output");
    }
    case "linear":
      return dense(input, "output");
    case "mlp": {
      const activation = activations[head.activation];
      let x = input;
      for (const index of head.hidden.keys()) x = activation(dense(x, hiddenLayer(index)));
      return dense(x, "output");
    }
  }
}

function emitDense(builder: GraphBuilder, x: string, weights: HeadWeights, name: string): string {
  const add = (part: string) =>
    builder.constant(
      `head_${name}_${part}`,
      "float32",
      weights[`${name}.${part}`]?.shape ?? [],
      weightData(weights, `${name}.${part}`),
    );
  const product = builder.node("MatMul", [x, add("kernel")]);
  return weights[`${name}.bias`] === undefined ? product : builder.node("Add", [product, add("bias")]);
}
