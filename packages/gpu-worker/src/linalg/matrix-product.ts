import { InferenceSession, Tensor } from "onnxruntime-node";
import { TrommelError } from "@trommel/common";
import { GraphBuilder } from "../graph/graph-builder.js";

/** A dense matrix, float64, row-major. */
export interface Matrix64 {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export interface MatrixProductOptions {
  /** Threads of ONNX Runtime. */
  readonly threads: number;
}

export interface ProductOptions {
  /** Use Aᵀ. @default false */
  readonly transposeA?: boolean;
  /** Use Bᵀ. @default false */
  readonly transposeB?: boolean;
  /** Memory for a product that is no wider than tall, to spare a large allocation. @default new memory */
  readonly into?: Float64Array;
}

type Operand = readonly [matrix: Matrix64, transposed: boolean];

/**
 * Products of float64 matrices in ONNX Runtime's double GEMM, which is what makes Gram matrices and subspace iterations
 * affordable from JavaScript. Each of the transposed forms is a graph of one node, made when it is first needed.
 * The inputs are used in place; nothing may write to them before the promise settles.
 */
export class MatrixProduct {
  readonly #threads: number;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();

  constructor(options: MatrixProductOptions) {
    if (!Number.isInteger(options.threads) || options.threads < 1) {
      throw new TrommelError(
        "invalid-argument",
        `failed to set up matrix products: threads is ${options.threads}, legal is a whole number from 1. Set --threads.`,
      );
    }
    this.#threads = options.threads;
  }

  /**
   * A·B, with either transposed on demand. The same bytes for any number of threads.
   * @throws TrommelError `internal` when the shapes do not fit
   */
  async multiply(a: Matrix64, b: Matrix64, options: ProductOptions = {}): Promise<Matrix64> {
    const transposeA = options.transposeA ?? false;
    const transposeB = options.transposeB ?? false;
    const [rows, innerA] = transposeA ? [a.columns, a.rows] : [a.rows, a.columns];
    const [innerB, columns] = transposeB ? [b.columns, b.rows] : [b.rows, b.columns];
    if (innerA !== innerB || a.data.length !== a.rows * a.columns || b.data.length !== b.rows * b.columns) {
      throw new TrommelError(
        "internal",
        `failed to multiply matrices: [${a.rows}, ${a.columns}] of ${a.data.length} values and ` +
          `[${b.rows}, ${b.columns}] of ${b.data.length} values do not fit (transposeA ${transposeA}, transposeB ${transposeB}).`,
      );
    }
    if (rows * columns === 0) return { rows, columns, data: new Float64Array() };
    // ONNX Runtime divides a wide product by columns among its threads, and the width of a part decides how it cuts the
    // sums, hence the last bits. A tall one is divided by rows, which changes nothing: so a wide one is made as (BᵀAᵀ)ᵀ.
    if (rows >= columns) {
      const into = options.into?.subarray(0, rows * columns);
      return { rows, columns, data: await this.#run([a, transposeA], [b, transposeB], into) };
    }
    const transposed = await this.#run([b, !transposeB], [a, !transposeA]);
    return { rows, columns, data: transpose(transposed, columns, rows) };
  }

  async #run(a: Operand, b: Operand, into?: Float64Array): Promise<Float64Array> {
    const session = await this.#session(a[1], b[1]);
    const feeds = { a: tensorOf(a[0]), b: tensorOf(b[0]) };
    if (into !== undefined) {
      const rows = a[1] ? a[0].columns : a[0].rows;
      await session.run(feeds, { product: new Tensor("float64", into, [rows, into.length / rows]) });
      return into;
    }
    const outputs = await session.run(feeds);
    return outputs["product"]?.data as Float64Array;
  }

  async release(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session).release();
  }

  #session(transposeA: boolean, transposeB: boolean): Promise<InferenceSession> {
    const key = `${transposeA}/${transposeB}`;
    let session = this.#sessions.get(key);
    if (session === undefined) {
      session = InferenceSession.create(productGraph(transposeA, transposeB), {
        executionProviders: ["cpu"],
        intraOpNumThreads: this.#threads,
        interOpNumThreads: 1,
        enableMemPattern: false,
        // Waiting threads must not spin: a worker shares its cores with decoding and with other workers.
        extra: { session: { intra_op: { allow_spinning: "0" } } },
      });
      this.#sessions.set(key, session);
    }
    return session;
  }
}

function tensorOf({ rows, columns, data }: Matrix64): Tensor {
  return new Tensor("float64", data, [rows, columns]);
}

/** @param data [rows, columns] */
function transpose(data: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(data.length);
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < columns; j += 1) result[j * rows + i] = data[i * columns + j] as number;
  }
  return result;
}

function productGraph(transposeA: boolean, transposeB: boolean): Uint8Array {
  const builder = new GraphBuilder();
  const a = builder.input("a", "float64", ["a0", "a1"]);
  const b = builder.input("b", "float64", ["b0", "b1"]);
  const product = builder.node("Gemm", [a, b], { transA: Number(transposeA), transB: Number(transposeB) });
  builder.output("product", "float64", ["rows", "columns"], product);
  return builder.encode();
}
