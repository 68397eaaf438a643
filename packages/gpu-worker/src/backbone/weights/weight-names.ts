/** Names that old and new versions of Keras give to the weights of a layer in files. */

const names = [
  "depthwise_kernel",
  "pointwise_kernel",
  "kernel",
  "bias",
  "gamma",
  "beta",
  "moving_mean",
  "moving_variance",
  "mean",
  "variance",
  "count",
] as const;

/** Names of Keras 1; its `running_std` contains a variance, despite its name. */
const olderNames: Readonly<Record<string, (typeof names)[number]>> = {
  W: "kernel",
  b: "bias",
  running_mean: "moving_mean",
  running_std: "moving_variance",
};

/**
 * Extracts a weight's own name from its name in a file: `conv1/conv1/kernel:0` and `conv1_W_1:0` are both `kernel`.
 * @returns the last part unchanged if it does not end in a name of Keras
 */
export function weightName(path: string): string {
  const last = (path.split("/").at(-1) ?? "").replace(/:\d+$/, "");
  const stem = last.replace(/_\d+$/, "");
  for (const [older, name] of Object.entries(olderNames)) if (endsIn(stem, older)) return name;
  return names.find((name) => endsIn(stem, name)) ?? last;
}

export function isKerasName(name: string): boolean {
  return (names as readonly string[]).includes(name);
}

function endsIn(text: string, word: string): boolean {
  return text === word || text.endsWith(`_${word}`);
}

/**
 * Finds the layers of the weights in one group of a file. A group is a layer, unless its weights have several prefixes: then
 * it is a nested model, and each weight's layer is the last name before its own.
 * @param group name of the group
 * @param paths names of the weights in the group, as in `stem_conv/kernel:0`
 */
export function layersOf(group: string, paths: readonly string[]): string[] {
  const owners = paths.map((path) => path.split("/").slice(0, -1));
  const isLayer = new Set(owners.map((owner) => owner.join("/"))).size <= 1;
  return owners.map((owner) => (isLayer ? group : (owner.at(-1) ?? group)));
}

/** Splits an automatic name such as `conv2d_47` into stem and number; undefined for a given name. */
export function autoName(layer: string): { readonly stem: string; readonly counter: number } | undefined {
  const found = /^(conv2d|batch_normalization|depthwise_conv2d|separable_conv2d)(?:_(\d{1,9}))?$/.exec(layer);
  return found?.[1] === undefined ? undefined : { stem: found[1], counter: Number(found[2] ?? 0) };
}
