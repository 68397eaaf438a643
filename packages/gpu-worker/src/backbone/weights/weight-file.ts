/** One array of a file of weights, by the layer that it belongs to. Nothing of its values has been read yet. */
export interface FileWeight {
  /** Name of the Keras layer. */
  readonly layer: string;
  /** `kernel`, `gamma`, …: Keras's own word where it is known, else the name as it stands in the file. */
  readonly name: string;
  /** What the file itself calls it; unique in the file. */
  readonly path: string;
  readonly shape: readonly number[];
  /** `float32`, `float16`, `float64`, or whatever else the file says; only those three can be read. */
  readonly dtype: string;
}

/** An open file of Keras weights, whatever its format. */
export interface WeightFile {
  /** What errors call it. */
  readonly url: string;
  /** In the file's order. */
  readonly weights: readonly FileWeight[];
  /** Whether that order is Keras's order of layers, so that it can stand in for names. */
  readonly ordered: boolean;
  /**
   * The values of weights, as float32, row-major.
   * @throws TrommelError `corrupt` naming the file, `unsupported` for another dtype
   */
  read(weights: readonly FileWeight[]): Promise<Float32Array[]>;
  close(): Promise<void>;
}

export const readableDtypes: readonly string[] = ["float16", "float32", "float64"];
