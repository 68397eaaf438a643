import { recipe as recipeSchema } from "@trommel/common";
import { GramAccumulator } from "#gpu-worker/linalg/gram/gram";
import { gramPrecision } from "#gpu-worker/linalg/gram/gram-precision";
import { isSettled, solveProjection } from "#gpu-worker/linalg/gram-to-projection";
import { MatrixProduct } from "#gpu-worker/linalg/matrix-product";
import { readNpy, writeNpy } from "../material/npy-file.js";
import { peakResidentMiB } from "../measure/process-usage.js";

/**
 * What the stages gram and solve compute, a process of its own: rows from an .npy file, the clock from rows in memory to
 * the basis, which is written to another file. It sends one measurement and ends.
 */

export interface SolveOptions {
  readonly rows: string;
  readonly basis: string;
  readonly energy: number;
  readonly step: number;
  readonly threads: number;
}

export interface SolveMeasurement {
  readonly seconds: number;
  readonly gramSeconds: number;
  readonly cpuSeconds: number;
  readonly components: number;
  readonly energyKept: number;
  readonly peakMiB: number;
}

/** As many rows at a time as a shard of 256 photographs in six views has. */
const rowsPerShard = 1536;

const { rows: file, basis, energy, step, threads } = JSON.parse(process.argv[2] ?? "") as SolveOptions;
const { rows, columns, data } = await readNpy(file);
const { svd, seed } = recipeSchema.parse({ backbones: ["any"], svd: { energy, step } });
if (svd === null) throw new RangeError("the recipe has no SVD");
const cpuBefore = process.cpuUsage();
const start = performance.now();
const product = new MatrixProduct({ threads });
const accumulator = new GramAccumulator(columns, product, gramPrecision({ rows, dimension: columns, svd }));
for (let first = 0; first < rows; first += rowsPerShard) {
  const count = Math.min(rowsPerShard, rows - first);
  await accumulator.add(data.subarray(first * columns, (first + count) * columns), count);
}
const gram = await accumulator.result();
const gramSeconds = (performance.now() - start) / 1000;
const projection = await solveProjection(gram, svd, { seed, product });
if (!isSettled(projection, gram, svd)) throw new RangeError("the rows would have to be summed again");
const seconds = (performance.now() - start) / 1000;
const cpu = process.cpuUsage(cpuBefore);
await product.release();
const { components, energyKept } = projection;
await writeNpy(basis, { rows: columns, columns: components, data: projection.basis });
const measurement: SolveMeasurement = {
  ...{ seconds, gramSeconds, components, energyKept },
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  peakMiB: await peakResidentMiB(process.pid),
};
process.send?.(measurement);
process.disconnect();
