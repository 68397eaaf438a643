/** One array of a file of weights, with the layer that it belongs to. Its values are not read yet. */
export interface FileWeight {
  /** Name of the Keras layer. */
  readonly layer: string;
  /** `kernel`, `gamma`, …: Keras's name if it is known, otherwise the name in the file. */
  readonly name: string;
  /** Its name in the file; unique there. */
  readonly path: string;
  readonly shape: readonly number[];
  /** `float32`, `float16`, `float64`, or any other dtype in the file; only those three can be read. */
  readonly dtype: string;
}

/** An open file of Keras weights, in any format. */
export interface WeightFile {
  /** Its name in error messages. */
  readonly url: string;
  /** In the file's order. */
  readonly weights: readonly FileWeight[];
  /** Whether that order is Keras's order of layers, so that it can replace names. */
  readonly ordered: boolean;
  /**
   * The values of weights, as float32, row-major.
   * @throws TrommelError `corrupt` naming the file, `unsupported` for another dtype
   */
  read(weights: readonly FileWeight[]): Promise<Float32Array[]>;
  close(): Promise<void>;
}

export const readableDtypes: readonly string[] = ["float16", "float32", "float64"];
