import { messageOf, TrommelError } from "@trommel/common";
import {
  allocateBlock,
  buffersOf,
  EpochBlocks,
  type StepBlock,
  type BlockMemory,
  type BlockSetting,
} from "./step-block.js";
import type { PrepareData, PreparedBlock, PrepareRequest, PrepareRequests } from "./prepare-thread.js";
import { startThread, type Peer } from "../../rpc/peer.js";
import type { JoinedRows, RowSet } from "../model/row-set.js";

/** Prepares a training's blocks of steps. The numbers are the same wherever it does. */
export interface BlockSource {
  /** The blocks of an epoch in order; each is good until the next one is asked for. */
  blocks(epoch: number): AsyncIterable<StepBlock>;
  release(): Promise<void>;
}

/** Makes a block on the calling thread when it is asked for. */
export function createInlineSource(setting: BlockSetting, rows: JoinedRows): BlockSource {
  const memory = allocateBlock(setting);
  return {
    // eslint-disable-next-line @typescript-eslint/require-await -- the other source has something to wait for
    async *blocks(epoch) {
      const blocks = new EpochBlocks(setting, rows, epoch);
      for (let block = blocks.next(memory); block !== undefined; block = blocks.next(memory)) yield block;
    },
    release: () => Promise.resolve(),
  };
}

/**
 * Makes each block on a second thread while the one before is computed, which takes a quarter of the time off an epoch. The
 * first of the next epoch too, during the validation. Features in shared memory are not copied.
 */
export async function createThreadSource(setting: BlockSetting, rows: JoinedRows): Promise<BlockSource> {
  const data: PrepareData = { setting, width: setting.featureCount, parts: rows.parts.map(shared) };
  const entry = new URL("./prepare-thread.js", import.meta.url);
  const thread: Peer<PrepareRequests> = startThread(entry, data);
  await thread.call("ready", null);
  return new ThreadSource(setting, thread);
}

interface Pending {
  readonly epoch: number;
  readonly block: Promise<PreparedBlock>;
}

class ThreadSource implements BlockSource {
  readonly #thread: Peer<PrepareRequests>;
  #spare: BlockMemory[];
  #pending: Pending | undefined;

  constructor(setting: BlockSetting, thread: Peer<PrepareRequests>) {
    this.#thread = thread;
    this.#spare = [allocateBlock(setting), allocateBlock(setting)];
  }

  async *blocks(epoch: number): AsyncGenerator<StepBlock> {
    // One that was begun for an epoch that never came, or for one that was left early.
    if (this.#pending !== undefined && this.#pending.epoch !== epoch) await this.#take(this.#pending);
    this.#pending ??= this.#ask(epoch, true);
    for (;;) {
      const prepared = await this.#take(this.#pending);
      if (prepared.block === undefined) {
        this.#pending = this.#ask(epoch + 1, true);
        return;
      }
      this.#pending = this.#ask(epoch, false);
      yield { ...prepared.block, memory: prepared.memory };
    }
  }

  async release(): Promise<void> {
    await this.#thread.end();
  }

  async #take({ block }: Pending): Promise<PreparedBlock> {
    const prepared = await block;
    this.#pending = undefined;
    this.#spare.push(prepared.memory);
    return prepared;
  }

  #ask(epoch: number, begins: boolean): Pending {
    // The one of the two that came back earlier: the other is still in use.
    const [memory, ...rest] = this.#spare;
    if (memory === undefined)
      throw new TrommelError("internal", "cannot prepare a block of steps: no memory is free");
    this.#spare = rest;
    const block = this.#prepare({ epoch, begins, memory });
    // It may fail while nobody waits for it yet.
    block.catch(() => undefined);
    return { epoch, block };
  }

  async #prepare(request: PrepareRequest): Promise<PreparedBlock> {
    try {
      return await this.#thread.call("prepare", request, { transfer: buffersOf(request.memory) });
    } catch (cause) {
      throw new TrommelError("internal", `cannot prepare a block of training steps: ${messageOf(cause)}`, {
        cause,
      });
    }
  }
}

/** The rows as another thread sees them too. */
function shared({ features, labels }: RowSet): RowSet {
  return { features: toShared(features, Float32Array), labels: toShared(labels, Int32Array) };
}

function toShared<T extends Float32Array | Int32Array>(
  values: T,
  type: new (buffer: SharedArrayBuffer) => T,
): T {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const copy = new type(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}
