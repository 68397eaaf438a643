import type { Device, EngineName } from "@trommel/common";
import { blockSize } from "./block-size.js";
import { createCompiledTuner } from "./compiled-tuner.js";
import { createTfjsTuner } from "./tfjs-tuner.js";
import type { CreateTuner } from "./tuner.js";

export interface ChosenTuner {
  readonly create: CreateTuner;
  /** What a user should know of its speed; null if nothing. */
  readonly notice: string | null;
}

/** How a worker with that engine and device tunes. */
export async function chooseTuner(engine: EngineName, device: Device): Promise<ChosenTuner> {
  if (engine === "tfjs") {
    const backend = device === "cuda" ? "node-gpu" : "wasm";
    return { create: (setting, start) => createTfjsTuner(setting, start, { backend }), notice: null };
  }
  const block = device === "cpu" ? await blockSize() : 0;
  return {
    create: (setting, start) => createCompiledTuner(setting, start, block, device),
    notice:
      device === "cpu" && block === 0
        ? "ONNX Runtime has no blocked layout on this processor: tuning runs in plain ONNX, at about half the speed"
        : null,
  };
}
