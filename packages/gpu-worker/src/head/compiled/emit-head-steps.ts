import type { HeadRecipe } from "@trommel/common";
import type { GraphBuilder } from "../../graph/graph-builder.js";
import type { FactorPlace } from "../noise/dropout-factors.js";
import { hiddenLayer } from "../model/head-model.js";

/** Names of the graph values that a head in training uses. */
export interface HeadValues {
  /** float32 [rows, features] */
  readonly features: string;
  /** By `<layer>.kernel` and `<layer>.bias`, each in its own shape. */
  readonly weights: ReadonlyMap<string, string>;
  /** Factors of dropout by place, each [rows, width]. Empty outside training. */
  readonly factors: ReadonlyMap<FactorPlace, string>;
}

export interface EmittedHead {
  /** float32 [rows, classes] */
  readonly logits: string;
  /**
   * Adds the backward pass.
   * @param slope the gradient of the loss with respect to the logits
   * @returns its gradient with respect to each weight, in the weight's shape
   */
  readonly backward: (slope: string) => ReadonlyMap<string, string>;
}

/** The head's forward and backward pass in ONNX; what `head-logits.ts` is in TensorFlow.js, with gradients derived by hand. */
export function emitHeadSteps(builder: GraphBuilder, head: HeadRecipe, values: HeadValues): EmittedHead {
  const steps = new HeadSteps(builder, values);
  switch (head.type) {
    case "se":
      return emitSqueezeExcitation(steps, head.activation, values.features);
    case "linear": {
      const output = steps.dense(steps.dropped(values.features, "features").output, "output");
      return {
        logits: output.output,
        backward: (slope) => {
          output.weightGradients(slope);
          return steps.gradients;
        },
      };
    }
    case "mlp":
      return emitPerceptron(steps, head, values.features);
  }
}

type Activation = "relu" | "swish" | "tanh";

/** A value and its backward function: from the gradient of the output to that of the input. */
interface Step {
  readonly output: string;
  readonly back: (slope: string) => string;
}

interface DenseStep extends Step {
  readonly weightGradients: (slope: string) => void;
}

function emitSqueezeExcitation(steps: HeadSteps, activation: Activation, features: string): EmittedHead {
  const squeeze = steps.dense(steps.dropped(features, "features").output, "squeeze");
  const squeezed = steps.activate(squeeze.output, activation);
  const excite = steps.dense(squeezed.output, "excite");
  const gate = steps.node("Sigmoid", excite.output);
  const gated = steps.node("Mul", features, gate);
  const kept = steps.dropped(gated, "gated");
  const output = steps.dense(kept.output, "output");
  const backward = (slope: string) => {
    output.weightGradients(slope);
    // d(x · g) by the gate's input is x · g · (1 − g), and x · g is at hand.
    const share = steps.node("Mul", kept.back(output.back(slope)), gated);
    const exciteSlope = steps.node("Sub", share, steps.node("Mul", share, gate));
    excite.weightGradients(exciteSlope);
    squeeze.weightGradients(squeezed.back(excite.back(exciteSlope)));
    return steps.gradients;
  };
  return { logits: output.output, backward };
}

function emitPerceptron(
  steps: HeadSteps,
  head: Extract<HeadRecipe, { type: "mlp" }>,
  features: string,
): EmittedHead {
  let x = features;
  const layers = head.hidden.map((_, index) => {
    const name = hiddenLayer(index);
    const dense = steps.dense(x, name);
    const active = steps.activate(dense.output, head.activation);
    const kept = steps.dropped(active.output, name);
    x = kept.output;
    return { dense, back: (slope: string) => active.back(kept.back(slope)) };
  });
  const output = steps.dense(x, "output");
  const backward = (slope: string) => {
    output.weightGradients(slope);
    let after: Step = output;
    let passed = slope;
    for (const { dense, back } of layers.toReversed()) {
      passed = back(after.back(passed));
      dense.weightGradients(passed);
      after = dense;
    }
    return steps.gradients;
  };
  return { logits: output.output, backward };
}

class HeadSteps {
  readonly #builder: GraphBuilder;
  readonly #values: HeadValues;
  readonly gradients = new Map<string, string>();

  constructor(builder: GraphBuilder, values: HeadValues) {
    this.#builder = builder;
    this.#values = values;
  }

  node(opType: string, ...inputs: string[]): string {
    return this.#builder.node(opType, inputs);
  }

  dense(x: string, layer: string): DenseStep {
    const kernel = this.#values.weights.get(`${layer}.kernel`) ?? "";
    const bias = this.#values.weights.get(`${layer}.bias`);
    const product = (inputs: string[], transposed = {}) => this.#builder.node("Gemm", inputs, transposed);
    return {
      output: product(bias === undefined ? [x, kernel] : [x, kernel, bias]),
      back: (slope) => product([slope, kernel], { transB: 1 }),
      weightGradients: (slope) => {
        this.gradients.set(`${layer}.kernel`, product([x, slope], { transA: 1 }));
        if (bias !== undefined) this.gradients.set(`${layer}.bias`, this.#sumOfRows(slope));
      },
    };
  }

  activate(x: string, activation: Activation): Step {
    switch (activation) {
      case "relu": {
        const output = this.node("Relu", x);
        return { output, back: (slope) => this.node("Mul", slope, this.node("Sign", output)) };
      }
      case "swish": {
        const gate = this.node("Sigmoid", x);
        const output = this.node("Mul", x, gate);
        const back = (slope: string) => {
          const rest = this.node("Sub", output, this.node("Mul", output, gate));
          return this.node("Mul", slope, this.node("Add", gate, rest));
        };
        return { output, back };
      }
      case "tanh": {
        const output = this.node("Tanh", x);
        const back = (slope: string) => {
          const share = this.node("Mul", this.node("Mul", slope, output), output);
          return this.node("Sub", slope, share);
        };
        return { output, back };
      }
    }
  }

  dropped(x: string, place: FactorPlace): Step {
    const factors = this.#values.factors.get(place);
    if (factors === undefined) return { output: x, back: (slope) => slope };
    return { output: this.node("Mul", x, factors), back: (slope) => this.node("Mul", slope, factors) };
  }

  #sumOfRows(x: string): string {
    const rows = this.#builder.constant("rows", "int64", [1], BigInt64Array.of(0n));
    return this.#builder.node("ReduceSum", [x, rows], { keepdims: 0 });
  }
}
