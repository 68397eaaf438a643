import { createRequire } from "node:module";
import type { BundleManifest, Ledger, Metrics, Projection, RunConfig } from "@trommel/common";
import sharp from "sharp";
import type { EngineBackbone } from "../../backbone/engines/engine.js";
import { installedVersion } from "../../graph/optional-packages.js";
import type { MetricsMarker } from "../inputs/trained-head.js";

/** `bundle.json`, from what made the bundle. */
export function describeBundle(options: {
  readonly config: RunConfig;
  readonly backbones: readonly EngineBackbone[];
  readonly projection: Projection | null;
  readonly metrics: Metrics;
  readonly trained: MetricsMarker;
  readonly ledger: Ledger;
  readonly hashes: Readonly<Record<string, string>>;
}): BundleManifest {
  const { config, projection, metrics, trained, ledger } = options;
  const sum = (of: "train" | "validation"): number =>
    trained.counts.reduce((total, row) => total + row[of], 0);
  return {
    formatVersion: 1,
    run: config.id,
    labels: [...trained.labels],
    input: {
      name: "pixels",
      type: "uint8",
      side: config.side,
      channelOrder: "rgb",
      decode: config.recipe.decode,
    },
    output: { name: "probabilities", type: "float32", classes: trained.labels.length },
    recipe: config.recipe,
    backbones: options.backbones.map(({ spec }) => spec),
    svd:
      projection === null
        ? null
        : { components: projection.components, energyKept: projection.energyKept, scale: projection.scale },
    hashes: { ...options.hashes },
    versions: versions(),
    data: {
      images: ledger.ok + ledger.failed,
      trainImages: sum("train"),
      validationImages: sum("validation"),
      failedImages: ledger.failed,
      trainRows: trained.trainRows,
      classes: trained.counts.map((row) => ({ ...row })),
    },
    metrics: {
      rows: metrics.rows,
      accuracy: metrics.accuracy,
      macroF1: metrics.macroF1,
      logLoss: metrics.logLoss,
      measured: metrics.measured,
    },
  };
}

/** The versions of everything that can change a result. */
function versions(): Record<string, string> {
  const require = createRequire(import.meta.url);
  const read = (name: string): string => (require(`${name}/package.json`) as { version: string }).version;
  const tensorflow = installedVersion("@tensorflow/tfjs-core");
  return {
    trommel: read("@trommel/gpu-worker"),
    node: process.versions.node,
    "onnxruntime-node": read("onnxruntime-node"),
    ...(tensorflow === undefined ? {} : { "@tensorflow/tfjs-core": tensorflow }),
    sharp: sharp.versions.sharp ?? "unknown",
    libvips: sharp.versions.vips,
  };
}
