import { compareUtf8, seedFrom, TrommelError, type Recipe } from "@trommel/common";

/**
 * The stratified, seeded validation split.
 *
 * Every class gives max(1, round(fraction · images)) images of its own, or, of the smallest class, as many as every other:
 * max(1, floor(fraction · images of the smallest class)), as "Dive into Deep Learning" splits its Kaggle competitions. Images that earlier runs on the same dataset, seed and
 * share validated on stay in validation, so that no image leaves it as the dataset grows; the rest are those whose
 * hash of (seed, key) is lowest. Neither order nor anything but keys, labels and that memory matters.
 *
 * @param keysByLabel the labelled images' keys; a class without images is not there
 * @param remembered keys that earlier runs validated on
 * @returns validation keys in UTF-8 byte order
 * @throws TrommelError `bad-dataset` for fewer than two classes, or a class with a single image
 */
export function chooseSplit(
  keysByLabel: ReadonlyMap<string, readonly string[]>,
  options: Recipe["validation"] & { readonly seed: number; readonly remembered: ReadonlySet<string> },
): string[] {
  checkClasses(keysByLabel);
  const smallest = Math.min(...[...keysByLabel.values()].map((keys) => keys.length));
  const validation: string[] = [];
  for (const [label, keys] of keysByLabel) {
    const share =
      options.of === "smallest-class"
        ? Math.floor(options.fraction * smallest)
        : Math.round(options.fraction * keys.length);
    const quota = Math.max(1, share);
    const kept = keys.filter((key) => options.remembered.has(key));
    const wanted = Math.min(quota - kept.length, keys.length - kept.length - 1);
    if (kept.length === keys.length) throw nothingToTrain(label, keys.length);
    validation.push(...kept);
    if (wanted > 0) {
      const others = keys.filter((key) => !options.remembered.has(key));
      validation.push(...lowestByHash(others, options.seed, wanted));
    }
  }
  return validation.sort(compareUtf8);
}

function nothingToTrain(label: string, images: number): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `failed to split the dataset: earlier runs validated on every one of the ${images} images that class ${JSON.stringify(label)} has left, so none may train. Add images, or choose another --seed`,
    { context: { label, images } },
  );
}

function lowestByHash(keys: readonly string[], seed: number, count: number): string[] {
  return keys
    .map((key) => ({ key, rank: seedFrom("validation split", seed, key) >>> 0 }))
    .sort((a, b) => a.rank - b.rank || compareUtf8(a.key, b.key))
    .slice(0, count)
    .map(({ key }) => key);
}

/**
 * @param keysByLabel images by class
 * @throws TrommelError `bad-dataset` for fewer than two classes, or a class with a single image
 */
export function checkClasses(keysByLabel: ReadonlyMap<string, readonly string[]>): void {
  if (keysByLabel.size < 2) {
    const found = [...keysByLabel.keys()].join(", ") || "none";
    throw new TrommelError(
      "bad-dataset",
      `failed to split the dataset: a classifier needs pictures of at least two classes, and there is ${found}. Add pictures of others, or point train at the folder that holds the class folders`,
      { context: { classes: [...keysByLabel.keys()] } },
    );
  }
  const single = [...keysByLabel].filter(([, keys]) => keys.length < 2).map(([label]) => label);
  if (single.length > 0) {
    throw new TrommelError(
      "bad-dataset",
      `failed to split the dataset: class ${single.map((label) => JSON.stringify(label)).join(", ")} has one image, and training and validation need one each. Add images or remove the class`,
      { context: { classes: single } },
    );
  }
}
