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
 * Which array of a file belongs where in an architecture.
 *
 * Layers are paired by name. Those that Keras numbered on its own (`conv2d_47`: the number depends on what else was made
 * in the session that saved the file) are paired among themselves, kind by kind, in the order in which they were made.
 * Only where not one given name of the architecture is in the file, and the file keeps Keras's order, are all layers
 * paired by that order. Every shape has to be equal, and nothing may be left over on either side but a classifier at
 * the file's end.
 */
export interface Matching<W extends NamedWeight> {
  /** One for each weight of the architecture, in its order; undefined where nothing fits. */
  readonly pairs: readonly (W | undefined)[];
  readonly by: "name" | "order";
  /** The file's layers that classify, after all others: not needed. */
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

/** Whether names decide: one that somebody gave is on both sides, or nobody gave any. */
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
    // With one too few or too many, nothing says which one that is.
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
