import { createRequire } from "node:module";
import { decodeVersion } from "@trommel/common/artefacts";
import type { BundleManifest, Ledger, RunConfig } from "@trommel/common";
import sharp from "sharp";
import type { EngineBackbone } from "../../backbone/engines/engine.js";
import { installedVersion } from "../../graph/optional-packages.js";
import type { GoldenFile } from "./check-serving.js";
import type { TrainedModel } from "./trained-model.js";

/** `bundle.json`, from what made the bundle. */
export function describeBundle(options: {
  readonly config: RunConfig;
  readonly backbones: readonly EngineBackbone[];
  readonly trained: TrainedModel;
  readonly golden: GoldenFile;
  readonly ledger: Ledger;
  readonly hashes: Readonly<Record<string, string>>;
}): BundleManifest {
  const { config, trained, golden, ledger } = options;
  const { data, ...rest } = trained.manifest;
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
      decodeVersion,
    },
    output: { name: "probabilities", type: "float32", classes: trained.labels.length },
    recipe: config.recipe,
    backbones: options.backbones.map(({ spec }) => spec),
    ...rest,
    golden: { images: golden.images, tolerance: golden.tolerance },
    hashes: { ...options.hashes },
    versions: versions(),
    data: { images: ledger.ok + ledger.failed, failedImages: ledger.failed, ...data },
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
