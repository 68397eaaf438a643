import { triesPerFile, type BlameReason, type ShardTrial } from "@trommel/common/redis";
import pLimit from "p-limit";
import { DecodeChild } from "../../image/decode/decode-child.js";
import type { ResolvedDecodeRecipe } from "../../image/decode/decode-image.js";
import type { FileOutcome } from "../../image/read/image-stream.js";
import { reasonOf, unlessAborted } from "@trommel/common/waiting";

/** Fixed wording: ledgers must not tell what happened on the way. */
const blameDetail: Readonly<Record<BlameReason, string>> = {
  "crashed-worker": "every process that decoded it alone died",
  "timed-out": "every process that decoded it alone hung",
};

/**
 * One file of all the shards of this process that are tried so: a file that takes the worker along must not be counted
 * against one of another shard, which would be taken up together with it time after time.
 */
const oneAtATime = pLimit(1);

/**
 * Decodes the files of a shard whose workers died, one at a time and in a process that may die instead of the worker. A
 * file is left out when {@link triesPerFile} processes in a row came to nothing while they had it; where the worker goes
 * with them, the trial in Redis tells the next one.
 */
export class OneByOne {
  readonly #trial: ShardTrial;
  readonly #recipe: ResolvedDecodeRecipe;
  readonly #child = new DecodeChild();
  readonly #signal: AbortSignal;
  readonly #onAbort: () => void;
  readonly #blamed: Map<number, BlameReason>;
  #noted: boolean;
  /** Positions that have to be tried alone before all others. */
  readonly suspects: readonly number[];

  private constructor(
    trial: ShardTrial,
    state: Awaited<ReturnType<ShardTrial["state"]>>,
    options: OneByOneOptions,
  ) {
    this.#trial = trial;
    this.#recipe = options.recipe;
    this.#signal = options.signal;
    this.#onAbort = () => void this.#child.stop(reasonOf(options.signal));
    options.signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#blamed = new Map(state.blamed);
    this.#noted = state.tried;
    this.suspects = state.suspects;
  }

  static async open(trial: ShardTrial, options: OneByOneOptions): Promise<OneByOne> {
    const state = await unlessAborted(options.signal, trial.state());
    return new OneByOne(trial, state, options);
  }

  /**
   * @param how.timeoutMs how long the decoder may take
   * @param how.alone while no other file of the shard is under way, so that a death of the whole worker counts against it
   * @throws TrommelError where no process can be started; the signal's reason
   */
  decode(position: number, bytes: Uint8Array, how: HowToDecode): Promise<FileOutcome> {
    const turn = oneAtATime(() => this.#decode(position, bytes, how));
    // The file before may be another shard's, and take its time.
    return unlessAborted(this.#signal, turn);
  }

  /** No process is left when it resolves. */
  async stop(): Promise<void> {
    this.#signal.removeEventListener("abort", this.#onAbort);
    await this.#child.stop(new Error("the shard is over"));
  }

  async #decode(position: number, bytes: Uint8Array, how: HowToDecode): Promise<FileOutcome> {
    const earlier = this.#blamed.get(position);
    if (earlier !== undefined) return blamedFile(earlier);
    try {
      return await this.#tryFile(position, bytes, how);
    } catch (thrown) {
      // We live, and so it is no worker's death. Nobody waits for it: the shard has to be handed back.
      this.#trial.livedOn(position).catch(() => undefined);
      throw thrown;
    }
  }

  async #tryFile(
    position: number,
    bytes: Uint8Array,
    { alone, timeoutMs }: HowToDecode,
  ): Promise<FileOutcome> {
    let reason: BlameReason = "timed-out";
    for (let tries = 0; tries < triesPerFile; tries += 1) {
      const outcome = await this.#child.decode({ bytes, recipe: this.#recipe, timeoutMs }, () =>
        this.#tell(this.#trial.begin(position, alone)),
      );
      await this.#tell(this.#trial.livedOn(position));
      if (outcome.kind === "decoded") {
        if (!this.#noted) await this.#tell(this.#trial.noteTried());
        this.#noted = true;
        return outcome.image;
      }
      if (outcome.kind === "died") reason = "crashed-worker";
    }
    this.#blamed.set(position, reason);
    await this.#tell(this.#trial.blame(position, reason));
    return blamedFile(reason);
  }

  /** Waits for a Redis that cannot be reached, as long as the shard is ours. */
  #tell(told: Promise<void>): Promise<void> {
    return unlessAborted(this.#signal, told);
  }
}

export interface OneByOneOptions {
  readonly recipe: ResolvedDecodeRecipe;
  readonly signal: AbortSignal;
}

interface HowToDecode {
  readonly alone: boolean;
  readonly timeoutMs: number;
}

function blamedFile(reason: BlameReason): FileOutcome {
  return { ok: false, reason, detail: blameDetail[reason], tries: triesPerFile };
}
