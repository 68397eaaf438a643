import {
  openStore,
  readBackboneModel,
  resolveBackbone,
  sha256Hex,
  TrommelError,
  type BackboneSpec,
  type ObjectStore,
} from "@trommel/common";
import { decodeRecipe } from "@trommel/common/recipe";
import type { QuantizeOptions } from "@trommel/common/worker-commands";
import { quantizeBackbone } from "../backbone/import/quantize-backbone.js";
import { decodeImage } from "../image/decode/decode-image.js";

/** `trommel backbone quantize`: an int8 copy of a stored backbone, by ranges measured on images. */
export async function quantizeStored(
  options: QuantizeOptions,
  say: (line: string) => void,
): Promise<BackboneSpec> {
  const store = openStore(options.storeUrl);
  const source = openStore(options.pictures);
  try {
    const spec = await resolveBackbone(store, options.backbone);
    const model = await readBackboneModel(store, spec);
    const images = await readImages(source, spec.inputSize, options.count, say);
    const name = options.name ?? `${spec.name}-int8`;
    return await quantizeBackbone({ store, spec, model, name, images, log: say });
  } finally {
    source.close();
    store.close();
  }
}

/**
 * As many images as were asked for, or all there are, as base images. Which of them is decided by the hashes of their keys, so
 * that they are spread over the prefix and the same every time.
 */
async function readImages(
  source: ObjectStore,
  side: number,
  count: number,
  say: (line: string) => void,
): Promise<Uint8Array[]> {
  const decode = { ...decodeRecipe.parse({}), side };
  const images: Uint8Array[] = [];
  let unreadable = 0;
  for (const key of await chooseKeys(source, 2 * count)) {
    if (images.length === count) break;
    const image = await decodeImage(await source.get(key, { maxBytes: decode.maxBytes }), decode);
    if (image.ok) images.push(image.pixels);
    else unreadable += 1;
  }
  if (unreadable > 0) say(`left out ${unreadable} files that are no readable pictures`);
  if (images.length > 0) return images;
  throw new TrommelError(
    "bad-dataset",
    `cannot measure ranges: ${source.url} has no readable picture. Name a prefix of pictures with --pictures`,
  );
}

/** The keys of the least hashes, in the order of those. Twice what is wanted is held at most. */
async function chooseKeys(source: ObjectStore, count: number): Promise<string[]> {
  let chosen: { readonly key: string; readonly rank: string }[] = [];
  const cut = (): void => {
    chosen.sort((a, b) => (a.rank < b.rank ? -1 : 1));
    chosen = chosen.slice(0, count);
  };
  for await (const { key } of source.list("")) {
    if (key.startsWith(".") || key.includes("/.")) continue;
    chosen.push({ key, rank: sha256Hex(Buffer.from(key, "utf8")) });
    if (chosen.length >= 2 * count) cut();
  }
  cut();
  return chosen.map(({ key }) => key);
}
