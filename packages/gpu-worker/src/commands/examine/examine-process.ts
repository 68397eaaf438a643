import "@trommel/common/without-telemetry";
import { devices, messageOf, type Device } from "@trommel/common";
import type { RuntimePart } from "@trommel/common/worker-commands";
import { installedVersion } from "../../graph/optional-packages.js";

/**
 * A process of its own that loads the native libraries and computes something small with each: one that they end, such as on a
 * processor without the instructions that they were built for, ends alone. Its argument is the device; it sends one message a part.
 */

const [asked = ""] = process.argv.slice(2);
const device = devices.find((known) => known === asked) ?? "cpu";

await report("sharp", examineSharp);
await report("onnxruntime", () => examineOnnxRuntime(device));
process.disconnect();

async function report(part: RuntimePart["part"], examine: () => Promise<RuntimePart>): Promise<void> {
  const found = await examine().catch((thrown: unknown) => ({ part, error: messageOf(thrown) }));
  await new Promise<void>((resolve) => process.send?.(found, undefined, undefined, () => resolve()));
}

async function examineSharp(): Promise<RuntimePart> {
  const { default: sharp } = await import("sharp");
  const blue = { create: { width: 8, height: 8, channels: 3, background: { r: 0, g: 0, b: 255 } } } as const;
  const file = await sharp(blue).png().toBuffer();
  const pixels = await sharp(file).raw().toBuffer();
  const first = [...pixels.subarray(0, 3)];
  if (first.join() !== "0,0,255") throw new Error(`a blue picture is decoded to ${first.join()}`);
  return { part: "sharp", version: sharp.versions.sharp ?? "", libvips: sharp.versions.vips };
}

async function examineOnnxRuntime(wanted: Device): Promise<RuntimePart> {
  const { listSupportedBackends } = await import("../../graph/onnx/onnx-runtime.js");
  const { probeProvider } = await import("../../backbone/engines/onnx-provider.js");
  const { description } = await probeProvider({ device: wanted, threads: 1 });
  const providers = listSupportedBackends().map(({ name }) => name);
  const version = installedVersion("onnxruntime-node") ?? "";
  return { part: "onnxruntime", version, providers, description };
}
