import {
  markerSchema,
  outputKeys,
  sha256Hex,
  TrommelError,
  type FailedImage,
  type ObjectStore,
  type Shard,
} from "@trommel/common";
import { readInput, readInputMarker } from "@trommel/common/codec";
import { okKeys, type ScoringGeneration, type SubmissionOutcome } from "@trommel/common/artefacts";
import { z } from "zod";
import { kaggleHeader, RepeatedIds } from "./formats/kaggle-rows.js";

/** The marker of a kaggle part, which another try than that of the scores may have written. */
const kaggleMarker = markerSchema.extend({ ok: z.int().nonnegative() });

/** A store takes whole objects of known length, so the file is put together in memory: this much, and one part. */
const submissionBytesAtMost = 256 * 1024 * 1024;

/**
 * Puts the parts of the format `kaggle` together as `submission.csv`: the header once, then the rows in listing order.
 * If it cannot be one file, nothing is written and the outcome says why; the parts stand in any case.
 */
export class Submission {
  readonly #output: ObjectStore;
  readonly #header: Buffer;
  readonly #bytesAtMost: number;
  readonly #ids: RepeatedIds;
  readonly #keys: string[] = [];
  readonly #generation: ScoringGeneration;
  #rows = 0;
  #sizeBytes: number;

  /**
   * @param labels in output order
   * @param options.inKeyOrder whether the rows of all parts come in the order of their keys, as those of a listed prefix do
   */
  constructor(
    output: ObjectStore,
    labels: readonly string[],
    generation: ScoringGeneration,
    {
      inKeyOrder,
      bytesAtMost = submissionBytesAtMost,
    }: { readonly inKeyOrder: boolean; readonly bytesAtMost?: number },
  ) {
    this.#output = output;
    this.#generation = generation;
    this.#ids = new RepeatedIds({ inOrder: inKeyOrder });
    this.#header = Buffer.from(kaggleHeader(labels), "utf8");
    this.#bytesAtMost = bytesAtMost;
    this.#sizeBytes = this.#header.length;
  }

  /**
   * Takes the next shard's part in: its ids and its size, and not yet its rows.
   * @param ok rows of the shard's scores
   * @param failed rows that have no row in any part; without those that a later shard recovers
   * @throws TrommelError `corrupt` where the kaggle part has not as many rows as the scores
   */
  async add(shard: Shard, ok: number, failed: readonly FailedImage[]): Promise<void> {
    const key = this.#generation.partKey(shard.index, "kaggle");
    const marker = await readInputMarker(this.#output, key, kaggleMarker);
    if (marker.ok !== ok) {
      throw new TrommelError(
        "corrupt",
        `cannot take ${key} into ${outputKeys.submission}: it has ${marker.ok} rows, and the shard's scores have ${ok}. Remove both parts' markers and resume`,
        { context: { key } },
      );
    }
    // A file that is tried again is counted where it is listed, in the order that finding repeated ids wants.
    if (shard.supersedes === undefined) {
      for (const key of okKeys(shard, failed)) {
        this.#ids.add(key);
        this.#rows += 1;
      }
    }
    this.#keys.push(key);
    this.#sizeBytes += marker.sizeBytes - this.#header.length;
  }

  /** @throws TrommelError `corrupt` where a part is not as its marker or its header should be */
  async write(signal: AbortSignal): Promise<SubmissionOutcome> {
    if (this.#ids.count > 0) return { merged: false, reason: "repeated-ids", detail: this.#repeatedIds() };
    if (this.#sizeBytes > this.#bytesAtMost)
      return { merged: false, reason: "too-large", detail: this.#tooLarge() };
    const whole = await this.#merge(signal);
    await this.#output.put(this.#generation.output.submission, whole, { contentType: "text/csv" });
    return {
      merged: true,
      file: this.#generation.output.submission,
      rows: this.#rows,
      sizeBytes: whole.length,
      sha256: sha256Hex(whole),
    };
  }

  async #merge(signal: AbortSignal): Promise<Buffer> {
    const whole = Buffer.alloc(this.#sizeBytes);
    let filled = this.#header.copy(whole);
    for (const key of this.#keys) {
      signal.throwIfAborted();
      const { bytes } = await readInput(this.#output, key);
      if (!this.#header.equals(bytes.subarray(0, this.#header.length))) {
        throw new TrommelError(
          "corrupt",
          `cannot merge ${key} into ${outputKeys.submission}: its header is not that of the model's labels. Score into another --output`,
          { context: { key } },
        );
      }
      whole.set(bytes.subarray(this.#header.length), filled);
      filled += bytes.length - this.#header.length;
    }
    return whole;
  }

  #repeatedIds(): string {
    const count = this.#ids.count;
    return `${count} ${count === 1 ? "picture has" : "pictures have"} the id of another, which is its key without the extension (${this.#ids.shown.join("; ")}). Rename them and score again, or put the kaggle parts together yourself`;
  }

  #tooLarge(): string {
    return `it would have ${this.#sizeBytes} bytes, and at most ${this.#bytesAtMost} are put together. Put the kaggle parts together yourself, with the header of the first alone`;
  }
}
