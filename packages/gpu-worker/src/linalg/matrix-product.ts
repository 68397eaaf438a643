import { InferenceSession, Tensor } from "../graph/onnx/onnx-runtime.js";
import { TrommelError } from "@trommel/common";
import { GraphBuilder } from "../graph/graph-builder.js";
import { elementTypeCodes } from "../graph/onnx/onnx-proto.js";
import { pieces } from "./eigen/pieces.js";
import { transposeInto } from "./transpose.js";

/** A dense matrix, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array | Float64Array;
}

export interface Matrix64 extends Matrix {
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
 * A product is divided among threads by rows. In float32 a single row is rounded differently from the same row among others,
 * so every thread must get at least two rows of the shortest product.
 */
export const leastSingleRows = 128;
const singleThreadsAtMost = leastSingleRows / 2;

/**
 * Rows of a long product that are computed at once. With more rows a thread's share leaves the cache and the TLB between one
 * strip of columns and the next, which halves the speed.
 */
const rowsAtOnce = 1024;

type Operand = readonly [matrix: Matrix64, transposed: boolean];

/**
 * Products of float64 matrices in ONNX Runtime's double GEMM, which is what makes Gram matrices and subspace iterations
 * affordable from JavaScript. Each transposed form is a graph of one node, built when it is first needed.
 * The inputs are used in place; nothing may write to them before the promise settles.
 */
export class MatrixProduct {
  readonly #threads: number;
  readonly #sessions = new Map<string, Promise<InferenceSession>>();

  constructor(options: MatrixProductOptions) {
    if (!Number.isInteger(options.threads) || options.threads < 1) {
      throw new TrommelError(
        "invalid-argument",
        `cannot set up matrix products: threads is ${options.threads}, legal is a whole number from 1. Set --threads`,
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
        `cannot multiply matrices: [${a.rows}, ${a.columns}] of ${a.data.length} values and ` +
          `[${b.rows}, ${b.columns}] of ${b.data.length} values do not fit (transposeA ${transposeA}, transposeB ${transposeB})`,
      );
    }
    if (rows * columns === 0) return { rows, columns, data: new Float64Array() };
    // ONNX Runtime divides a wide product among its threads by columns, and the width of a part decides how it splits the
    // sums, hence the last bits. A tall one is divided by rows, which changes nothing, so a wide one is computed as (BᵀAᵀ)ᵀ.
    if (rows >= columns) return { rows, columns, data: await this.#run([a, transposeA], [b, transposeB]) };
    const data = new Float64Array(rows * columns);
    transposeInto(await this.#run([b, !transposeB], [a, !transposeA]), rows, data);
    return { rows, columns, data };
  }

  async #run(a: Operand, b: Operand): Promise<Float64Array> {
    const session = await this.#session(`${a[1]}/${b[1]}`, () => productGraph(a[1], b[1]));
    const outputs = await session.run({ a: tensorOf(a[0]), b: tensorOf(b[0]) });
    return outputs["product"]?.data as Float64Array;
  }

  /**
   * sum ← sum + A·Bᵀ, in place, the product in the precision of A and B and the addition in float64. The same bytes for any
   * number of threads; in float32 only if A has at least {@link leastSingleRows} rows.
   *
   * @param sum [a.rows, b.rows]
   * @param a at least as tall as `b`, and so are its pieces: if it has 1,536 rows or more, `b` has at most 512
   * @throws TrommelError `internal` when the shapes do not fit
   */
  async addProduct(sum: Float64Array, a: Matrix, b: Matrix): Promise<void> {
    const element = elementOf(a);
    const parts = pieces(a.rows, rowsAtOnce);
    if (
      a.columns !== b.columns ||
      parts.some(([start, end]) => end - start < b.rows) ||
      sum.length !== a.rows * b.rows ||
      elementOf(b) !== element
    ) {
      throw new TrommelError(
        "internal",
        `cannot add a product of matrices: [${a.rows}, ${a.columns}] of ${element}, the transpose of ` +
          `[${b.rows}, ${b.columns}] of ${elementOf(b)} and a sum of ${sum.length} values do not fit`,
      );
    }
    if (sum.length === 0 || a.columns === 0) return;
    const threads = element === "float32" ? Math.min(this.#threads, singleThreadsAtMost) : this.#threads;
    const session = await this.#session(`add ${element}`, () => addProductGraph(element), threads);
    const right = tensorOf(b);
    for (const [start, end] of parts) {
      const total = new Tensor("float64", sum.subarray(start * b.rows, end * b.rows), [end - start, b.rows]);
      // Input and output share memory: the addition, the graph's last step, reads each value just before it writes it.
      await session.run({ a: tensorOf(rowsOf(a, start, end)), b: right, sum: total }, { total });
    }
  }

  async release(): Promise<void> {
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) await (await session).release();
  }

  #session(key: string, graph: () => Uint8Array, threads = this.#threads): Promise<InferenceSession> {
    let session = this.#sessions.get(key);
    if (session === undefined) {
      session = InferenceSession.create(graph(), {
        executionProviders: ["cpu"],
        intraOpNumThreads: threads,
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

/** Some rows of a matrix, in place. */
export function rowsOf({ columns, data }: Matrix, start: number, end: number): Matrix {
  return { rows: end - start, columns, data: data.subarray(start * columns, end * columns) };
}

function tensorOf({ rows, columns, data }: Matrix): Tensor {
  return new Tensor(data, [rows, columns]);
}

function elementOf({ data }: Matrix): "float32" | "float64" {
  return data instanceof Float32Array ? "float32" : "float64";
}

function productGraph(transposeA: boolean, transposeB: boolean): Uint8Array {
  const builder = new GraphBuilder();
  const a = builder.input("a", "float64", ["a0", "a1"]);
  const b = builder.input("b", "float64", ["b0", "b1"]);
  const product = builder.node("Gemm", [a, b], { transA: Number(transposeA), transB: Number(transposeB) });
  builder.output("product", "float64", ["rows", "columns"], product);
  return builder.encode();
}

function addProductGraph(element: "float32" | "float64"): Uint8Array {
  const builder = new GraphBuilder();
  const a = builder.input("a", element, ["rows", "inner"]);
  const b = builder.input("b", element, ["columns", "inner"]);
  const sum = builder.input("sum", "float64", ["rows", "columns"]);
  const product = builder.node("Gemm", [a, b], { transA: 0, transB: 1 });
  const exact = builder.node("Cast", [product], { to: elementTypeCodes.float64 });
  builder.output("total", "float64", ["rows", "columns"], builder.node("Add", [sum, exact]));
  return builder.encode();
}
