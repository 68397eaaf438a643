import { bundleFiles, runConfig, runKeys, type ObjectStore, type RunConfig } from "@trommel/common";
import { parseSealedAs, unlessMissing } from "@trommel/common/codec";
import { findListing, parseShard, resolveRunFeatures, type ResolvedRun } from "@trommel/common/artefacts";
import { range, readAhead, readIfThere } from "@trommel/common/store";
import { listSubjects } from "../run-control/list-subjects.js";
import { shardsReadAtOnce } from "../retry/shard-outcomes.js";

/** What the runs of a store refer to. It holds a few words per run, and the shards' hashes of one fingerprint at a time. */
export class References {
  readonly #store: ObjectStore;
  readonly runs: ReadonlySet<string>;
  /** Ids, `name@hash12`. */
  readonly backbones: ReadonlySet<string>;
  readonly #byFingerprint: ReadonlyMap<string, readonly string[]>;

  private constructor(
    store: ObjectStore,
    found: {
      readonly runs: ReadonlySet<string>;
      readonly backbones: ReadonlySet<string>;
      readonly byFingerprint: ReadonlyMap<string, readonly string[]>;
    },
  ) {
    this.#store = store;
    this.runs = found.runs;
    this.backbones = found.backbones;
    this.#byFingerprint = found.byFingerprint;
  }

  /** @throws TrommelError `corrupt` for a run that cannot be read, since its references are unknown */
  static async read(store: ObjectStore): Promise<References> {
    const runs = new Set<string>();
    const backbones = new Set<string>();
    const byFingerprint = new Map<string, string[]>();
    for (const id of await runIds(store)) {
      runs.add(id);
      const config = await readRun(store, id);
      if (config === undefined) continue;
      const resolved = await featuresOf(store, config);
      for (const { id: used } of [...config.backbones, ...(resolved?.backbones ?? [])]) backbones.add(used);
      if (resolved === undefined) continue;
      const { fingerprint } = resolved;
      const ids = byFingerprint.get(fingerprint);
      if (ids === undefined) byFingerprint.set(fingerprint, [id]);
      else ids.push(id);
    }
    return new References(store, { runs, backbones, byFingerprint });
  }

  /** Hashes of the feature shards of a fingerprint that runs refer to, or "all", since an unfinished run may refer to any. */
  async shardsOf(fingerprint: string): Promise<ReadonlySet<string> | "all"> {
    const hashes = new Set<string>();
    for (const id of this.#byFingerprint.get(fingerprint) ?? []) {
      if (!(await this.#addShards(id, hashes))) return "all";
    }
    return hashes;
  }

  /** Whether a run has appeared since this was read. */
  async areOld(): Promise<boolean> {
    return (await runIds(this.#store)).some((id) => !this.runs.has(id));
  }

  /** @returns false if the run is not complete */
  async #addShards(id: string, hashes: Set<string>): Promise<boolean> {
    const keys = runKeys(id);
    if ((await this.#store.head(`${keys.bundle}/${bundleFiles.manifest}`)) === undefined) return false;
    const listing = await findListing(this.#store, keys.listing);
    if (listing === undefined) return false;
    const indices = range(0, listing.shards);
    for await (const hash of readAhead(indices, shardsReadAtOnce, (index) =>
      this.#hashOf(keys.shard(index)),
    )) {
      if (hash === undefined) return false;
      hashes.add(hash);
    }
    return true;
  }

  async #hashOf(key: string): Promise<string | undefined> {
    const body = await readIfThere(this.#store, key);
    return body === undefined ? undefined : parseShard(body, key).hash;
  }
}

async function runIds(store: ObjectStore): Promise<string[]> {
  return (await listSubjects(store)).flatMap(({ kind, id }) => (kind === "run" ? [id] : []));
}

/** Undefined if it was removed meanwhile. */
async function readRun(store: ObjectStore, id: string): Promise<RunConfig | undefined> {
  const key = runKeys(id).config;
  const body = await readIfThere(store, key);
  return body === undefined ? undefined : parseSealedAs(runConfig, body, key);
}

/** Undefined for a run that is still measuring its dataset, or tuning its backbone: it has extracted nothing. */
export async function featuresOf(store: ObjectStore, config: RunConfig): Promise<ResolvedRun | undefined> {
  return unlessMissing(resolveRunFeatures(store, config));
}
