import type { PassedRequest } from "./faults/fault-proxy.js";

/** Feature shards and score parts: what a job for one shard commits. */
const shardArtefact = /^\/(store\/features\/[^/]+\/[0-9a-f]+\.safetensors|scores\/.+\/part-\d+\.jsonl)$/;

/** Counts what workers commit, from the requests that the server answered. */
export class CommitLog {
  /** Shards whose marker was written. */
  committed = 0;
  /** Shards whose data was written more often than once: somebody died, or was given up, before the marker stood. */
  repeated = 0;
  /** Shards whose data was written again after their marker stood, which no retry may do. */
  recommitted = 0;
  readonly #uploads = new Map<string, number>();
  readonly #markers = new Set<string>();

  note({ method, path, status }: PassedRequest): void {
    if (method !== "PUT" || status !== 200) return;
    const isMarker = path.endsWith(".json");
    const artefact = isMarker ? path.slice(0, -".json".length) : path;
    if (!shardArtefact.test(artefact)) return;
    if (isMarker) {
      if (!this.#markers.has(artefact)) this.committed += 1;
      this.#markers.add(artefact);
      return;
    }
    const uploads = (this.#uploads.get(artefact) ?? 0) + 1;
    this.#uploads.set(artefact, uploads);
    if (uploads > 1) this.repeated += 1;
    if (this.#markers.has(artefact)) this.recommitted += 1;
  }

  /** The store was emptied: the same shards are new ones. */
  forget(): void {
    this.#uploads.clear();
    this.#markers.clear();
  }
}
