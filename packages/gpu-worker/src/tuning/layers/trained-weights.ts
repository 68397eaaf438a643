import type { BoundLayer } from "../../backbone/layers/bound-layer.js";

export type Norm = "batch" | "frozen" | "group";

/** Names of a layer's weights that steps change by their gradients, and of those that they measure. */
export function trainedWeights(
  layer: BoundLayer,
  norm: Norm,
): {
  readonly byGradient: readonly string[];
  readonly measured: readonly string[];
} {
  const names = [...layer.weights.keys()];
  if (layer.className !== "BatchNormalization") return { byGradient: names, measured: [] };
  return {
    byGradient: names.filter((name) => !isStatistic(name)),
    measured: norm === "batch" ? names.filter(isStatistic) : [],
  };
}

/** Whether a weight, by its own or its full name, is a running statistic. */
export function isStatistic(name: string): boolean {
  return name.endsWith("moving_mean") || name.endsWith("moving_variance");
}

/** Epsilon of the group normalisations that take the place of batch ones. */
export const groupEpsilon = 1e-5;
const groupsAtMost = 32;

/** Channels of a batch normalisation, by the weights that it came with: it may have neither scale nor shift. */
export function channelsOf({ weights }: Pick<BoundLayer, "weights">): number {
  return [...weights.values()][0]?.shape[0] ?? 0;
}

/** Groups of a group normalisation: 32, or the largest number below that divides the channels. */
export function groupsOf(channels: number): number {
  for (let groups = Math.min(groupsAtMost, channels); groups > 1; groups -= 1) {
    if (channels % groups === 0) return groups;
  }
  return 1;
}

/** The statistics of smaller groups come from few values, in deep layers with small maps above all. */
const channelsAtLeast = 4;

/** What to know of group normalisations whose groups are small; null if none is. */
export function smallGroupsNotice(
  layers: readonly BoundLayer[],
  trained: ReadonlySet<string>,
  norm: Norm,
): string | null {
  if (norm !== "group") return null;
  const normalizations = layers.filter(
    ({ name, className }) => className === "BatchNormalization" && trained.has(name),
  );
  const small = normalizations.flatMap((layer) => {
    const channels = channelsOf(layer);
    const perGroup = channels / groupsOf(channels);
    return perGroup < channelsAtLeast ? [`${layer.name} (${perGroup} of ${channels})`] : [];
  });
  const [first] = small;
  if (first === undefined) return null;
  return `${small.length} of ${normalizations.length} group normalisations have fewer than ${channelsAtLeast} channels in a group, the first of them ${first}: the network may learn worse than with tune.norm batch or frozen`;
}

/** The first layers, which no layer that trains comes before. */
export function untrainedPrefix(
  layers: readonly BoundLayer[],
  trained: ReadonlySet<string>,
): readonly BoundLayer[] {
  const before = new Set<string>();
  for (const layer of layers) {
    if (!trained.has(layer.name) && layer.inputs.every((name) => before.has(name))) before.add(layer.name);
  }
  return layers.filter(({ name }) => before.has(name));
}

/** Names of the layers after which no output of an earlier one is read. */
export function lonePassages(layers: readonly BoundLayer[]): ReadonlySet<string> {
  const places = new Map(layers.map(({ name }, at) => [name, at]));
  /** By layer: the last one that reads it. */
  const lastReader = layers.map((_, at) => at);
  for (const [at, { inputs }] of layers.entries()) {
    for (const name of inputs) lastReader[places.get(name) ?? at] = at;
  }
  const lone = new Set<string>();
  let openUntil = 0;
  for (const [at, { name }] of layers.entries()) {
    if (openUntil <= at) lone.add(name);
    openUntil = Math.max(openUntil, lastReader[at] ?? at);
  }
  return lone;
}
