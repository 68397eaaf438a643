/** A layer of a functional graph, called once. */
export interface GraphLayer {
  readonly name: string;
  /** Layers whose outputs it reads, in order. */
  readonly inputs: readonly string[];
}

/**
 * The order of `model.layers` in Keras 2 for a functional graph (`_map_graph_network`), which is the order of layers in its
 * weight files: layers farthest from the output first; among equally distant layers, first the one that a walk from the output
 * back to the input, following a layer's inputs in order, enters first. It is not the order of creation: the shorter of a
 * residual block's two branches comes after the first layers of the longer one.
 */
export function kerasOrder<Layer extends GraphLayer>(layers: readonly Layer[], output: string): Layer[] {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  const { entered, finished } = walkBack(byName, output);
  const depths = new Map<string, number>([[output, 0]]);
  // In reverse finishing order, every layer comes after all layers that read it.
  for (const name of finished.toReversed()) {
    const depth = depths.get(name) ?? 0;
    for (const input of byName.get(name)?.inputs ?? []) {
      depths.set(input, Math.max(depth + 1, depths.get(input) ?? 0));
    }
  }
  const rank = (name: string): number => entered.get(name) ?? 0;
  return layers
    .filter(({ name }) => entered.has(name))
    .sort((a, b) => (depths.get(b.name) ?? 0) - (depths.get(a.name) ?? 0) || rank(a.name) - rank(b.name));
}

function walkBack(
  byName: ReadonlyMap<string, GraphLayer>,
  output: string,
): { entered: ReadonlyMap<string, number>; finished: readonly string[] } {
  const entered = new Map([[output, 0]]);
  const finished: string[] = [];
  const path = [{ name: output, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const input = byName.get(top.name)?.inputs[top.next++];
    if (input === undefined) {
      finished.push(top.name);
      path.pop();
    } else if (!entered.has(input)) {
      entered.set(input, entered.size);
      path.push({ name: input, next: 0 });
    }
  }
  return { entered, finished };
}
