import {
  TrommelError,
  backboneId,
  backboneKeys,
  backboneSpec,
  canonicalJson,
  parseAs,
  parseJsonAs,
  sha256Hex,
  type BackboneSpec,
  type Normalization,
  type ObjectStore,
  type ChannelOrder,
} from "@trommel/common";
import { readBounds } from "@trommel/common/store";
import { decodeModel } from "../../graph/onnx/onnx-model.js";
import { elementTypeCodes, int64ToNumber } from "../../graph/onnx/onnx-proto.js";
import type { PreparedBackbone } from "./prepared-backbone.js";
import { putJsonOnce } from "@trommel/common/codec";

export interface StoredAs {
  readonly name: string;
  readonly normalization: Normalization;
  readonly channelOrder: ChannelOrder;
  /** The origin of the backbone; output and pooling come from the prepared backbone. */
  readonly source: Pick<
    BackboneSpec["source"],
    "kind" | "url" | "sha256" | "from" | "architecture" | "files" | "licence" | "decode"
  >;
}

/**
 * Writes a backbone into the store, spec.json last. The id is derived from the content, so a repeated import finds the stored
 * backbone and rewrites it only if parts are missing or damaged.
 * @returns the stored spec
 * @throws TrommelError `conflict` if another backbone has the id
 */
export async function storeBackbone(
  target: ObjectStore,
  prepared: PreparedBackbone,
  as: StoredAs,
): Promise<BackboneSpec> {
  const spec = specOf(prepared, as);
  const keys = backboneKeys(backboneId(spec));
  if ((await target.head(keys.spec)) === undefined) {
    await writeNetworks(target, prepared, keys);
    const text = new TextEncoder().encode(`${JSON.stringify(spec, undefined, 2)}\n`);
    const result = await putJsonOnce(target, keys.spec, text);
    if (result === "written") return spec;
  }
  const stored = parseJsonAs(backboneSpec, await target.get(keys.spec, readBounds.document), keys.spec);
  if (stored.hash === spec.hash) {
    if (!(await isWhole(target, prepared, keys))) await writeNetworks(target, prepared, keys);
    return stored;
  }
  throw new TrommelError(
    "conflict",
    `cannot store ${backboneId(spec)}: ${keys.spec} already exists with another hash, ${stored.hash}. Import under another name`,
  );
}

type Keys = ReturnType<typeof backboneKeys>;

function networksOf({ model, layers }: PreparedBackbone, keys: Keys): [key: string, bytes: Uint8Array][] {
  if (layers === undefined) return [[keys.model, model]];
  return [
    [keys.model, model],
    [keys.layersModel, layers.modelJson],
    [keys.layersWeights, layers.weightsBin],
  ];
}

async function writeNetworks(target: ObjectStore, prepared: PreparedBackbone, keys: Keys): Promise<void> {
  for (const [key, bytes] of networksOf(prepared, keys)) {
    await target.put(key, bytes, key.endsWith(".json") ? { contentType: "application/json" } : {});
  }
}

/** Checks only that the layers exist: those of another source may be written differently and compile to the same model. */
async function isWhole(target: ObjectStore, prepared: PreparedBackbone, keys: Keys): Promise<boolean> {
  for (const [key] of networksOf(prepared, keys)) if ((await target.head(key)) === undefined) return false;
  return Buffer.compare(await target.get(keys.model, readBounds.network), prepared.model) === 0;
}

function specOf(prepared: PreparedBackbone, as: StoredAs): BackboneSpec {
  const { inputSize, dimension, opset, parity, output, pooling } = prepared;
  const { name, normalization, channelOrder } = as;
  const modelSha256 = sha256Hex(prepared.model);
  const spec = {
    formatVersion: 1,
    name,
    hash: sha256Hex(canonicalJson({ modelSha256, inputSize, normalization, channelOrder })),
    modelSha256,
    dimension,
    inputSize,
    normalization,
    channelOrder,
    opset,
    parameterCount: prepared.parameterCount ?? parameterCount(prepared.model),
    source: { ...as.source, output, pooling },
    parity,
  };
  return parseAs(backboneSpec, spec, "the new backbone's spec", "internal");
}

/** Counts floating-point values of the initialisers; scalars are bounds and factors, not parameters. */
function parameterCount(model: Uint8Array): number {
  const floats: readonly (number | undefined)[] = [
    elementTypeCodes.float32,
    elementTypeCodes.float16,
    elementTypeCodes.float64,
  ];
  return (decodeModel(model).graph?.initializer ?? [])
    .filter(({ dataType, dims }) => floats.includes(dataType) && (dims ?? []).length > 0)
    .reduce(
      (sum, { dims }) => sum + (dims ?? []).reduce((size: number, dim) => size * int64ToNumber(dim), 1),
      0,
    );
}
