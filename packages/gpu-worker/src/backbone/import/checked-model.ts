import { InferenceSession, Tensor } from "../../graph/onnx/onnx-runtime.js";
import { TrommelError, messageOf } from "@trommel/common";

export interface EmbeddedImages {
  /** Shape of the output, batch first. */
  readonly dims: readonly number[];
  readonly values: Float32Array;
}

/** Runs a model with the input `image` and the output `embedding` on the CPU provider, for checks at import. */
export class CheckedModel {
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.#session = session;
  }

  /** @throws TrommelError `unsupported` if ONNX Runtime refuses the model */
  static async load(model: Uint8Array): Promise<CheckedModel> {
    try {
      return new CheckedModel(
        await InferenceSession.create(model, { executionProviders: ["cpu"], logSeverityLevel: 4 }),
      );
    } catch (cause) {
      throw new TrommelError(
        "unsupported",
        `cannot load the ONNX model: ONNX Runtime refuses it (${messageOf(cause)}). Export it with opset 17 and standard operators`,
        { cause },
      );
    }
  }

  /** @param images float32 [batch, 3, size, size] */
  async embed(images: Float32Array, batch: number, size: number): Promise<EmbeddedImages> {
    const results = await this.#session.run({ image: new Tensor("float32", images, [batch, 3, size, size]) });
    const embedding = results["embedding"];
    if (embedding === undefined || !(embedding.data instanceof Float32Array)) {
      throw new TrommelError("internal", "cannot run the ONNX model: it returned no float32 embedding");
    }
    return { dims: embedding.dims, values: embedding.data };
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

/** Largest difference divided by the largest absolute reference value; infinite for NaN and for unequal lengths. */
export function relativeDifference(actual: Float32Array, reference: Float32Array): number {
  if (actual.length !== reference.length) return Infinity;
  let difference = 0;
  let largest = 0;
  for (let index = 0; index < actual.length; index++) {
    const value = actual[index] ?? NaN;
    const expected = reference[index] ?? NaN;
    if (!Number.isFinite(value) || !Number.isFinite(expected)) return Infinity;
    difference = Math.max(difference, Math.abs(value - expected));
    largest = Math.max(largest, Math.abs(expected));
  }
  return largest === 0 ? (difference === 0 ? 0 : Infinity) : difference / largest;
}
