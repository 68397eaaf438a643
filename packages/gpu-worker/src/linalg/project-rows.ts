import { InferenceSession, Tensor } from "../graph/onnx/onnx-runtime.js";
import { TrommelError, type Projection } from "@trommel/common";
import { GraphBuilder } from "../graph/graph-builder.js";

/** Bounds the rows that ONNX Runtime sees at once. */
const chunkRows = 4096;

/** Projects embeddings, z = (x − mean) · basis · scale, in float32 by ONNX Runtime. */
export class RowProjector {
  readonly #session: InferenceSession;
  readonly #projection: Projection;

  private constructor(session: InferenceSession, projection: Projection) {
    this.#session = session;
    this.#projection = projection;
  }

  static async create(projection: Projection, options: { readonly threads: number }): Promise<RowProjector> {
    const session = await InferenceSession.create(projectionGraph(projection), {
      executionProviders: ["cpu"],
      intraOpNumThreads: options.threads,
      interOpNumThreads: 1,
      enableMemPattern: false,
      // Waiting threads must not spin: a worker shares its cores with decoding and with other workers.
      extra: { session: { intra_op: { allow_spinning: "0" } } },
    });
    return new RowProjector(session, projection);
  }

  /**
   * @param rows [rowCount, dimension], row-major
   * @returns [rowCount, components]
   * @throws TrommelError `internal` when the length does not fit
   */
  async project(rows: Float32Array, rowCount: number): Promise<Float32Array> {
    const { dimension, components } = this.#projection;
    if (rows.length !== rowCount * dimension) {
      throw new TrommelError(
        "internal",
        `cannot project embeddings: ${rows.length} values given for ${rowCount} rows of ${dimension}`,
      );
    }
    const projected = new Float32Array(rowCount * components);
    for (let start = 0; start < rowCount; start += chunkRows) {
      const count = Math.min(chunkRows, rowCount - start);
      const chunk = rows.subarray(start * dimension, (start + count) * dimension);
      const outputs = await this.#session.run({ x: new Tensor("float32", chunk, [count, dimension]) });
      projected.set(outputs["z"]?.data as Float32Array, start * components);
    }
    return projected;
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}

function projectionGraph({ dimension, components, mean, basis, scale }: Projection): Uint8Array {
  const builder = new GraphBuilder();
  let x = builder.input("x", "float32", ["rows", dimension]);
  if (mean.some((value) => value !== 0)) {
    x = builder.node("Sub", [x, builder.constant("mean", "float32", [dimension], mean)]);
  }
  const z = builder.node("MatMul", [x, builder.constant("basis", "float32", [dimension, components], basis)]);
  const scaled = builder.node("Mul", [z, builder.constant("scale", "float32", [], Float32Array.of(scale))]);
  builder.output("z", "float32", ["rows", components], scaled);
  return builder.encode();
}
