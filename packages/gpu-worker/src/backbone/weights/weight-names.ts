/** How Keras, old and new, calls the weights of a layer in its files. */

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

/** Keras 1 called them so; its `running_std` holds a variance all the same. */
const olderNames: Readonly<Record<string, (typeof names)[number]>> = {
  W: "kernel",
  b: "bias",
  running_mean: "moving_mean",
  running_std: "moving_variance",
};

/**
 * The weight's own name out of what a file calls it: `conv1/conv1/kernel:0` and `conv1_W_1:0` are both `kernel`.
 * @returns the last part as it stands where it ends in no word of Keras
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
 * Whose weights those of one group of a file are. A group is a layer, unless its weights stand under several names:
 * then it is a model within the model, and each weight's layer is the last name before its own.
 * @param group name of the group
 * @param paths what the group calls its weights, as in `stem_conv/kernel:0`
 */
export function layersOf(group: string, paths: readonly string[]): string[] {
  const owners = paths.map((path) => path.split("/").slice(0, -1));
  const isLayer = new Set(owners.map((owner) => owner.join("/"))).size <= 1;
  return owners.map((owner) => (isLayer ? group : (owner.at(-1) ?? group)));
}

/** Of `conv2d_47`: what Keras numbers such layers under, and the number. undefined for a name that somebody gave. */
export function autoName(layer: string): { readonly stem: string; readonly counter: number } | undefined {
  const found = /^(conv2d|batch_normalization|depthwise_conv2d|separable_conv2d)(?:_(\d{1,9}))?$/.exec(layer);
  return found?.[1] === undefined ? undefined : { stem: found[1], counter: Number(found[2] ?? 0) };
}
