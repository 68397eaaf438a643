import {
  backboneName,
  openStore,
  parseAs,
  type BackboneSpec,
  type ImportOptions,
  type ObjectStore,
  type PullOptions,
  type RandomOptions,
} from "@trommel/common";
import { isHubReference, nameInStore, parseHubReference } from "@trommel/common/artefacts";
import { openBackboneSource } from "../backbone/download/backbone-source.js";
import { cachedDownload } from "../backbone/download/cached-download.js";
import { catalogue, findWeights } from "../backbone/download/catalogue.js";
import { openHubModel } from "../backbone/download/hub/hub-model.js";
import { describePreprocessing } from "../backbone/download/hub/preprocessor-config.js";
import { importBackbone } from "../backbone/import/import-backbone.js";
import { randomBackbone } from "../backbone/import/random-backbone.js";

/** The commands that bring backbones into the store: each opens it for its own time. */

type Say = (line: string) => void;

/** `trommel backbone import`: from any location. */
export async function importFromLocation(options: ImportOptions, say: Say): Promise<BackboneSpec> {
  const { storeUrl, source, sha256, ...rest } = options;
  return withStore(storeUrl, (store) => {
    const opened = openBackboneSource(source, sha256 === undefined ? {} : { sha256 });
    return importBackbone({ ...withoutUndefined(rest), source: opened, store, log: say });
  });
}

/** `trommel backbone random`: from a seed. */
export async function importRandom(options: RandomOptions, say: Say): Promise<BackboneSpec> {
  const { storeUrl, ...rest } = options;
  return withStore(storeUrl, (store) => randomBackbone({ ...withoutUndefined(rest), store, log: say }));
}

/** `trommel backbone pull`: from the catalogue's address, by way of the cache. */
export async function importFromCatalogue(
  options: PullOptions,
  say: Say,
  progress: Say,
): Promise<BackboneSpec> {
  if (isHubReference(options.weights)) return importFromHub(options, say, progress);
  const {
    storeUrl,
    weights,
    cacheFolder,
    file: _file,
    endpoint: _endpoint,
    token: _token,
    ...choices
  } = options;
  const entry = findWeights(options.catalogue ?? catalogue, weights);
  const { architecture, inputSize, normalization, channelOrder, licence } = entry;
  say(`${entry.name}: ${architecture}, licence ${licence}`);
  return withStore(storeUrl, (store) => {
    const { catalogue: _, ...chosen } = withoutUndefined(choices);
    const defaults = { name: entry.name, inputSize, normalization, channelOrder };
    const source = cachedDownload({
      url: entry.url,
      sha256: entry.sha256,
      cacheFolder,
      log: say,
      progress,
    });
    return importBackbone({ ...defaults, ...chosen, architecture, source, store, log: say });
  });
}

/** `trommel backbone pull hf:…`: an ONNX encoder from a hub's repository, at one commit. */
async function importFromHub(options: PullOptions, say: Say, progress: Say): Promise<BackboneSpec> {
  const { storeUrl, weights, cacheFolder, file, endpoint, token, catalogue: _catalogue, ...rest } = options;
  const reference = parseHubReference(weights);
  const choices = withoutUndefined(rest);
  const { name = nameInStore(reference) } = choices;
  parseAs(backboneName, name, `the backbone's name "${name}"`);
  const { source, preprocessing, about } = await openHubModel(reference, {
    ...withoutUndefined({ file, inputSize: choices.inputSize, normalization: choices.normalization }),
    ...{ access: { endpoint: endpoint.replace(/\/+$/, ""), token }, cacheFolder, log: say, progress },
  });
  if (preprocessing !== undefined) say(describePreprocessing(preprocessing));
  const defaults = {
    name,
    ...(preprocessing === undefined
      ? {}
      : { normalization: preprocessing.normalization, channelOrder: preprocessing.channelOrder }),
    ...(preprocessing?.inputSize === undefined ? {} : { inputSize: preprocessing.inputSize }),
  };
  return withStore(storeUrl, (store) =>
    importBackbone({ ...defaults, ...choices, source, about, store, log: say }),
  );
}

async function withStore<T>(url: string, use: (store: ObjectStore) => Promise<T>): Promise<T> {
  const store = openStore(url);
  try {
    return await use(store);
  } finally {
    store.close();
  }
}

/** Optional fields that zod gives as undefined, left out. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}
