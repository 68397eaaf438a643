import { TrommelError } from "@trommel/common";
import type { TuneRecipe } from "@trommel/common/recipe";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import type { CutLayers } from "../../backbone/layers/cut-layers.js";

/** Layers with a kernel. Normalisations and activations belong to the block of the kernel before them. */
const kernelClasses = new Set(["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Dense"]);

/** Names in a message, so that a long network does not fill the screen. */
const namesAtMost = 12;

/**
 * A network as a chain of blocks, from input to output: a block ends where all that follows depends on one layer's output alone,
 * and has at least one kernel that is not depthwise. So a residual unit is a block, a squeeze-and-excitation belongs to the one that it
 * scales, and a depthwise convolution is in one block with the pointwise convolution after it.
 */
export function blocksOf({ layers }: CutLayers): readonly (readonly BoundLayer[])[] {
  const lastUse = new Map<string, number>();
  for (const [at, { inputs }] of layers.entries()) for (const input of inputs) lastUse.set(input, at);
  const blocks: BoundLayer[][] = [];
  let segment: BoundLayer[] = [];
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

function hasKernel({ className }: BoundLayer): boolean {
  return kernelClasses.has(className);
}

function isWhole(block: readonly BoundLayer[]): boolean {
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
export function trainedLayers(cut: CutLayers, { blocks: wanted, layerDecay }: TuneRecipe): TrainedLayers {
  const blocks = blocksOf(cut);
  const isTrained = selection(blocks, wanted);
  const trained = new Set<string>();
  const rateFactors = new Map<string, number>();
  for (const [index, block] of blocks.entries()) {
    const factor = layerDecay ** (blocks.length - index);
    for (const { name, weights } of block) {
      if (weights.size === 0 || !isTrained(name, index)) continue;
      trained.add(name);
      if (factor !== 1) rateFactors.set(name, factor);
    }
  }
  return { trained, rateFactors };
}

function selection(
  blocks: readonly (readonly BoundLayer[])[],
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
  const weighted = blocks.flat().filter(({ weights }) => weights.size > 0);
  const unknown = wanted.filter((name) => !weighted.some((layer) => isNamed(name, layer.name)));
  if (unknown.length === 0) return (layer) => wanted.some((name) => isNamed(name, layer));
  const last = weighted.slice(-namesAtMost).map(({ name }) => name);
  throw new TrommelError(
    "not-found",
    `cannot tune ${unknown.join(", ")}: no layer with weights has that name or begins with it. The network's last ones are ${last.join(", ")}. Correct tune.blocks`,
    { context: { unknown } },
  );
}
