import type { EngineName } from "@trommel/common";
import type { Engine, EngineOptions } from "./engine.js";
import { createOnnxEngine } from "./onnx-engine.js";

/**
 * Creates an engine by name, without loading the other one's runtime.
 * @throws TrommelError `device-unavailable` if the device does not work on this machine with this engine
 */
export async function createEngine(
  options: EngineOptions & { readonly engine: EngineName },
): Promise<Engine> {
  switch (options.engine) {
    case "onnx":
      return await createOnnxEngine(options);
    case "tfjs": {
      const { createTfjsEngine } = await import("./tfjs-engine.js");
      return await createTfjsEngine(options);
    }
  }
}
