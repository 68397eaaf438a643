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
}

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
   * A·B, with either transposed on demand.
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
    const session = await this.#session(transposeA, transposeB);
    const outputs = await session.run({
      a: new Tensor("float64", a.data, [a.rows, a.columns]),
      b: new Tensor("float64", b.data, [b.rows, b.columns]),
    });
    return { rows, columns, data: outputs["product"]?.data as Float64Array };
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
      });
      this.#sessions.set(key, session);
    }
    return session;
  }
}

function productGraph(transposeA: boolean, transposeB: boolean): Uint8Array {
  const builder = new GraphBuilder();
  const a = builder.input("a", "float64", ["a0", "a1"]);
  const b = builder.input("b", "float64", ["b0", "b1"]);
  const product = builder.node("Gemm", [a, b], { transA: Number(transposeA), transB: Number(transposeB) });
  builder.output("product", "float64", ["rows", "columns"], product);
  return builder.encode();
}
