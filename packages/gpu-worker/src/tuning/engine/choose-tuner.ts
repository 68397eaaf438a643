import { TrommelError, type Device, type EngineName } from "@trommel/common";
import { blockSize } from "./block-size.js";
import { createCompiledTuner } from "./compiled-tuner.js";
import { createTfjsTuner } from "./tfjs-tuner.js";
import type { CreateTuner, TuningSetting } from "./tuner.js";

export interface ChosenTuner {
  readonly create: CreateTuner;
  /** What a user should know of its speed; null if nothing. */
  readonly notice: string | null;
}

/** How a worker with that engine and device tunes. */
export async function chooseTuner(engine: EngineName, device: Device): Promise<ChosenTuner> {
  if (engine === "tfjs") {
    const backend = device === "cuda" ? "node-gpu" : "wasm";
    const create: CreateTuner = async (setting, start) => {
      refuseMixed(setting, engine, device);
      return await createTfjsTuner(setting, start, { backend });
    };
    return { create, notice: null };
  }
  const block = device === "cpu" ? await blockSize() : 0;
  return {
    create: async (setting, start) => {
      refuseMixed(setting, engine, device);
      return await createCompiledTuner(setting, start, block, device);
    },
    notice:
      device === "cpu" && block === 0
        ? "ONNX Runtime has no blocked layout on this processor: tuning runs in plain ONNX, at about half the speed"
        : null,
  };
}

/** Half precision gains nothing where the runtime computes it in float32. */
function refuseMixed({ precision }: TuningSetting, engine: EngineName, device: Device): void {
  if (precision !== "mixed" || (engine === "onnx" && device === "cuda")) return;
  throw new TrommelError(
    "unsupported",
    `cannot tune in mixed precision with the engine ${engine} on ${device}: only onnx on cuda does. Leave tune.precision out, or start workers with --device cuda`,
    { context: { engine, device } },
  );
}
