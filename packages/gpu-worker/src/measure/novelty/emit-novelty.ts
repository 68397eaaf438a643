import type { Novelty } from "@trommel/common";
import type { GraphBuilder } from "../../graph/graph-builder.js";
import { stepLengths } from "./novelty-distances.js";

/**
 * Adds to a graph what `noveltyDistances` and `noveltyPercentiles` compute.
 * @param features name of the standardised features, float32 [N, dimension]
 * @returns name of the percentiles, float32 [N], from 0 to 1
 */
export function emitNovelty(builder: GraphBuilder, features: string, novelty: Novelty): string {
  const { dimension, used, mean, directions, offsets, coupling, minor, quantiles } = novelty;
  const [width, classes, steps] = [used.length, offsets.length, quantiles.length - 1];
  const add = (name: string, dims: readonly number[], data: Float32Array) =>
    builder.constant(`novelty_${name}`, "float32", dims, data);
  /** The sum of each row, [N, columns] → [N, 1]: the operators that sum differ between opsets. */
  const sumOfRows = (value: string, columns: number, factor = 1) =>
    builder.node("MatMul", [
      value,
      builder.constant("novelty_ones", "float32", [columns, 1], new Float32Array(columns).fill(factor)),
    ]);
  const taken =
    width === dimension
      ? features
      : builder.node("Gather", [features, builder.int64s([...used])], { axis: 1 });
  const centred = builder.node("Sub", [taken, add("mean", [1, width], mean)]);
  const scores = builder.node("MatMul", [centred, add("directions", [width, classes], directions)]);
  const toClasses = builder.node("Sub", [add("offsets", [1, classes], offsets), scores]);
  const index = builder.node("ArgMin", [toClasses], { axis: 1, keepdims: 1 });
  const nearest = builder.node("GatherElements", [toClasses, index], { axis: 1 });
  const coupled = builder.node("MatMul", [scores, add("coupling", [classes, classes], coupling)]);
  const quadratic = sumOfRows(builder.node("Mul", [coupled, scores]), classes);
  const along = builder.node("MatMul", [centred, add("minor", [width, minor.length / width], minor)]);
  const energy = sumOfRows(builder.node("Mul", [along, along]), minor.length / width);
  const distance = builder.node("Add", [builder.node("Add", [nearest, quadratic]), energy]);
  const above = builder.node("Sub", [distance, add("quantiles", [1, steps], quantiles.slice(0, steps))]);
  const shares = builder.node("Div", [above, add("steps", [1, steps], stepLengths(quantiles))]);
  const bounds = [0, 1].map((value) =>
    builder.constant("novelty_bound", "float32", [], Float32Array.of(value)),
  );
  const clipped = builder.node("Clip", [shares, ...bounds]);
  return builder.reshape(sumOfRows(clipped, steps, 1 / steps), [-1]);
}
