import { autoName } from "./weight-names.js";
import {
  byStem,
  isClassifier,
  pairLayer,
  weightedLayers,
  type NamedWeight,
  type WeightedLayer,
} from "./weight-layers.js";

/**
 * Assigns the arrays of a file to the weights of an architecture.
 *
 * Layers are paired by name. Layers that Keras numbered automatically (`conv2d_47`: the number depends on what else the
 * session created that saved the file) are paired with each other, type by type, in the order of creation. Only if the file
 * contains none of the architecture's given names, and keeps Keras's order, are all layers paired by that order. All shapes
 * must be equal, and nothing may be left over on either side except a classifier at the end of the file.
 */
export interface Matching<W extends NamedWeight> {
  /** One for each weight of the architecture, in its order; undefined if nothing fits. */
  readonly pairs: readonly (W | undefined)[];
  readonly by: "name" | "order";
  /** The file's classifier layers, after all others; they are not needed. */
  readonly classifier: readonly string[];
  /** Weights of the file that have no place in the architecture. */
  readonly leftOver: readonly W[];
}

export function matchWeights<W extends NamedWeight>(
  wanted: readonly NamedWeight[],
  found: readonly W[],
  ordered: boolean,
): Matching<W> {
  const wantedLayers = weightedLayers(wanted);
  const foundLayers = weightedLayers(found);
  const by = byNames(wantedLayers, foundLayers) || !ordered ? "name" : "order";
  const partners =
    by === "name" ? partnersByName(wantedLayers, foundLayers) : partnersByOrder(wantedLayers, foundLayers);
  const taken = new Set<W>();
  const paired = new Map<NamedWeight, W>();
  for (const [layer, partner] of partners) {
    const pairs = pairLayer(layer, partner);
    layer.weights.forEach((weight, index) => {
      const pair = pairs?.[index];
      if (pair === undefined) return;
      paired.set(weight, pair);
      taken.add(pair);
    });
  }
  const classifier = ordered
    ? classifierAtEnd(foundLayers, taken)
    : foundLayers.filter(
        (layer) => !layer.weights.some((weight) => taken.has(weight)) && isClassifier(layer),
      );
  const spared = new Set(classifier.flatMap(({ weights }) => weights));
  return {
    pairs: wanted.map((weight) => paired.get(weight)),
    by,
    classifier: classifier.map(({ name }) => name),
    leftOver: found.filter((weight) => !taken.has(weight) && !spared.has(weight)),
  };
}

/** Whether to pair by name: a given name is on both sides, or there are only automatic names. */
function byNames(
  wanted: readonly WeightedLayer<NamedWeight>[],
  found: readonly WeightedLayer<NamedWeight>[],
): boolean {
  const given = wanted.filter(({ name }) => autoName(name) === undefined);
  if (given.length > 0) {
    const names = new Set(found.map(({ name }) => name));
    return given.some(({ name }) => names.has(name));
  }
  return found.some(({ name }) => autoName(name) !== undefined);
}

type Partners<W extends NamedWeight> = (readonly [WeightedLayer<NamedWeight>, WeightedLayer<W>])[];

function partnersByName<W extends NamedWeight>(
  wanted: readonly WeightedLayer<NamedWeight>[],
  found: readonly WeightedLayer<W>[],
): Partners<W> {
  const partners: Partners<W> = [];
  const named = new Map(found.map((layer) => [layer.name, layer]));
  for (const layer of wanted) {
    const partner = autoName(layer.name) === undefined ? named.get(layer.name) : undefined;
    if (partner !== undefined) partners.push([layer, partner]);
  }
  const numbered = byStem(found);
  for (const [stem, layers] of byStem(wanted)) {
    const others = numbered.get(stem) ?? [];
    // If the counts differ, it is unknown which layer is missing.
    if (others.length === layers.length) partners.push(...zip(layers, others));
  }
  return partners;
}

function partnersByOrder<W extends NamedWeight>(
  wanted: readonly WeightedLayer<NamedWeight>[],
  found: readonly WeightedLayer<W>[],
): Partners<W> {
  return zip(wanted, found.slice(0, wanted.length));
}

function zip<W extends NamedWeight>(
  wanted: readonly WeightedLayer<NamedWeight>[],
  found: readonly WeightedLayer<W>[],
): Partners<W> {
  return found.flatMap((layer, index) => {
    const partner = wanted[index];
    return partner === undefined ? [] : [[partner, layer] as const];
  });
}

function classifierAtEnd<W extends NamedWeight>(
  layers: readonly WeightedLayer<W>[],
  taken: ReadonlySet<W>,
): readonly WeightedLayer<W>[] {
  const last = layers.findLastIndex(({ weights }) => weights.some((weight) => taken.has(weight)));
  const rest = layers.slice(last + 1);
  return rest.every(isClassifier) ? rest : [];
}
