import { z } from "zod";
import { TrommelError } from "../../errors.js";
import { parseJsonAs } from "../../parse.js";
import type { TuneRecipe } from "../../recipe/tune-recipe.js";

/** A layer of a network, whose weights are not looked at. */
export interface NetworkLayer {
  readonly name: string;
  readonly className: string;
  /** Names of the layers that it reads. */
  readonly inputs: readonly string[];
  readonly hasWeights: boolean;
}

/** A layer with what decides whether a gradient is carried through it. */
export interface StoredLayer extends NetworkLayer {
  /** Its activation by its canonical name; `linear` without one. */
  readonly activation: string;
  /** Whether it is a ReLU with a slope, a threshold or a bound other than 6. */
  readonly isUnusualRelu: boolean;
}

/** Layers with a kernel. Normalisations and activations belong to the block of the kernel before them. */
const kernelClasses = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"]);

/** Names in a message, so that a long network does not fill the screen. */
const namesAtMost = 12;

/**
 * A network as a chain of blocks, from input to output: a block ends where all that follows depends on one layer's output alone,
 * and has at least one kernel that is not depthwise. So a residual unit is a block, a squeeze-and-excitation belongs to the one that it
 * scales, and a depthwise convolution is in one block with the pointwise convolution after it.
 * @param layers each after those that it reads
 */
export function blocksOf(layers: readonly NetworkLayer[]): readonly (readonly NetworkLayer[])[] {
  const lastUse = new Map<string, number>();
  for (const [at, { inputs }] of layers.entries()) for (const input of inputs) lastUse.set(input, at);
  const blocks: NetworkLayer[][] = [];
  let segment: NetworkLayer[] = [];
  const open = new Set<string>();
  for (const [at, layer] of layers.entries()) {
    segment.push(layer);
    open.add(layer.name);
    for (const name of open) if ((lastUse.get(name) ?? layers.length) <= at) open.delete(name);
    if (open.size > 1) continue;
    const current = blocks.at(-1);
    if (current === undefined || (isWhole(current) && segment.some(hasKernel))) blocks.push(segment);
    else current.push(...segment);
    segment = [];
  }
  return blocks;
}

function hasKernel({ className }: NetworkLayer): boolean {
  return kernelClasses.has(className);
}

function isWhole(block: readonly NetworkLayer[]): boolean {
  return block.some((layer) => hasKernel(layer) && layer.className !== "DepthwiseConv2D");
}

export interface TrainedLayers {
  /** Names of the layers that train. */
  readonly trained: ReadonlySet<string>;
  /** Factor of the learning rate, of the layers that train. */
  readonly rateFactors: ReadonlyMap<string, number>;
}

/**
 * The layers that a recipe trains, and at what share of the rate.
 * @throws TrommelError `not-found` naming a block that does not exist, `invalid-argument` for more blocks than there are
 */
export function trainedLayers(
  layers: readonly NetworkLayer[],
  { blocks: wanted, layerDecay }: TuneRecipe,
): TrainedLayers {
  const blocks = blocksOf(layers);
  const isTrained = selection(blocks, wanted);
  const trained = new Set<string>();
  const rateFactors = new Map<string, number>();
  for (const [index, block] of blocks.entries()) {
    const factor = layerDecay ** (blocks.length - index);
    for (const { name, hasWeights } of block) {
      if (!hasWeights || !isTrained(name, index)) continue;
      trained.add(name);
      if (factor !== 1) rateFactors.set(name, factor);
    }
  }
  return { trained, rateFactors };
}

function selection(
  blocks: readonly (readonly NetworkLayer[])[],
  wanted: TuneRecipe["blocks"],
): (layer: string, block: number) => boolean {
  if (wanted === "all") return () => true;
  if (wanted === "half") return (_, block) => block >= Math.floor(blocks.length / 2);
  if (!Array.isArray(wanted)) {
    if (wanted.last <= blocks.length) return (_, block) => block >= blocks.length - wanted.last;
    throw new TrommelError(
      "invalid-argument",
      `cannot tune the last ${wanted.last} blocks: the network has ${blocks.length}. Set tune.blocks to { last: <n> } with at most that many, or to all`,
      { context: { blocks: blocks.length } },
    );
  }
  const isNamed = (name: string, layer: string): boolean =>
    layer === name || layer.startsWith(`${name}_`) || layer.startsWith(`${name}/`);
  const weighted = blocks.flat().filter(({ hasWeights }) => hasWeights);
  const unknown = wanted.filter((name) => !weighted.some((layer) => isNamed(name, layer.name)));
  if (unknown.length === 0) return (layer) => wanted.some((name) => isNamed(name, layer));
  const last = weighted.slice(-namesAtMost).map(({ name }) => name);
  throw new TrommelError(
    "not-found",
    `cannot tune ${unknown.join(", ")}: no layer with weights has that name or begins with it. The network's last ones are ${last.join(", ")}. Correct tune.blocks`,
    { context: { unknown } },
  );
}

const storedModel = z.looseObject({
  modelTopology: z.looseObject({
    config: z.looseObject({
      layers: z.array(
        z.looseObject({
          class_name: z.string(),
          name: z.string(),
          config: z.record(z.string(), z.unknown()).optional(),
          inbound_nodes: z.array(z.array(z.tuple([z.string()]).rest(z.unknown()))),
        }),
      ),
    }),
  }),
  weightsManifest: z.array(z.looseObject({ weights: z.array(z.looseObject({ name: z.string() })) })),
});

/** The layers of a stored backbone, from its `layers/model.json`. @throws TrommelError `corrupt` */
export function layersOfModel(modelJson: Uint8Array, name: string): StoredLayer[] {
  const { modelTopology, weightsManifest } = parseJsonAs(storedModel, modelJson, name);
  const weighted = new Set(
    weightsManifest.flatMap(({ weights }) => weights.map((weight) => weight.name.replace(/\/[^/]*$/, ""))),
  );
  return modelTopology.config.layers.map((layer) => ({
    name: layer.name,
    className: layer.class_name,
    inputs: layer.inbound_nodes.flat().map(([input]) => input),
    hasWeights: weighted.has(layer.name),
    activation: typeof layer.config?.["activation"] === "string" ? layer.config["activation"] : "linear",
    isUnusualRelu: layer.class_name === "ReLU" && !isUsual(layer.config ?? {}),
  }));
}

function isUsual({
  max_value: most = null,
  negative_slope: slope = null,
  threshold = null,
}: Readonly<Record<string, unknown>>): boolean {
  return (most === null || most === 6) && (slope ?? 0) === 0 && (threshold ?? 0) === 0;
}
