import {
  checkRunId,
  readWithMarker,
  runConfig,
  runKeys,
  TrommelError,
  writeWithMarker,
  type ObjectStore,
  type RunConfig,
} from "@trommel/common";
import { parseSealedAs, putJsonOnce } from "@trommel/common/codec";
import { untunedOf, type RetryReasons } from "@trommel/common/artefacts";
import { readBounds } from "@trommel/common/store";
import { checkConfig, writeConfig } from "../resolve/config-file.js";
import { checkExport, resolveExport } from "../resolve/resolve-export.js";
import type { Resolved } from "../resolve/config-file.js";
import { nextRetryId } from "./retry-chain.js";

/**
 * Resolves the run that retries the failed images of another: the same frozen configuration under another id, without the
 * location that the first exports its bundle to.
 * @param options.id by default `<run>-retry1`, and `-retry2` of that
 * @throws TrommelError `conflict` if the id belongs to another configuration, `unsupported` for a run that tunes
 */
export async function resolveRunRetry(options: {
  readonly store: ObjectStore;
  readonly of: RunConfig;
  readonly reasons: RetryReasons;
  readonly id: string | undefined;
  readonly output: string | undefined;
}): Promise<Resolved<RunConfig>> {
  const { store, of } = options;
  const id = checkRunId(options.id ?? nextRetryId(of));
  const untuned = untunedOf(of);
  if (untuned !== undefined)
    throw new TrommelError(
      "unsupported",
      `cannot try the failed files of ${of.id} again: it was tuned on the images that ${untuned} could read. Repair the files and train under another id (--run)`,
      { context: { id: of.id } },
    );
  if (id === of.id) {
    throw new TrommelError(
      "invalid-argument",
      `cannot use the id ${id}: it is that of the run whose files are tried again. Choose another with --run`,
    );
  }
  const config: RunConfig = {
    ...of,
    id,
    export: resolveExport({ output: options.output, dataset: of.dataset, storeUrl: store.url }),
    retryOf: { run: of.id, reasons: options.reasons },
  };
  const key = runKeys(id).config;
  const parse = (body: Uint8Array): RunConfig => parseSealedAs(runConfig, body, key);
  await checkConfig(store, key, config, parse);
  await checkExport(config);
  const claim = async (): Promise<void> => {
    await copyDecided(store, of, id);
    await writeConfig(store, key, config, parse);
  };
  return { config, claim };
}

/**
 * Copies what the first run decided and the second keeps: the labels, lists of the split, and the measured normalisation; the plan keeps the split.
 * If the recovered images were measured too, the normalisation would change a little and every feature with it.
 */
async function copyDecided(store: ObjectStore, of: RunConfig, id: string): Promise<void> {
  const from = runKeys(of.id);
  const to = runKeys(id);
  if (of.labels.tableSha256 !== null)
    await putJsonOnce(store, to.labels, await store.get(from.labels, readBounds.dataset));
  if (of.divisionSha256 !== undefined)
    await putJsonOnce(store, to.division, await store.get(from.division, readBounds.dataset));
  if (of.recipe.normalization === "dataset") {
    const { bytes } = await readWithMarker(store, from.normalization);
    await writeWithMarker(store, to.normalization, bytes);
  }
}
