import { InferenceSession, Tensor, env, listSupportedBackends } from "../../graph/onnx/onnx-runtime.js";
import { TrommelError, messageOf, type Device } from "@trommel/common";
import { GraphBuilder } from "../../graph/graph-builder.js";
import type { DeviceReport, EngineOptions } from "./engine.js";

/** ONNX Runtime's errors arrive as exceptions; its log would print them on stderr a second time. */
env.logLevel = "fatal";

/**
 * Checks that an execution provider really works, before any job depends on it.
 *
 * ONNX Runtime computes on the CPU whatever a provider does not support, and says so only in its log. The probe is therefore
 * a small network in a session that forbids this fallback, and its result is checked.
 */
export async function probeProvider(options: EngineOptions): Promise<DeviceReport> {
  const { device, threads } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new TrommelError(
      "invalid-argument",
      `cannot start the onnx engine with ${threads} threads (legal: 1, 2, 3, …). Set --threads`,
    );
  }
  if (!listSupportedBackends().some(({ name }) => name === device)) {
    throw unavailable(device, "this build of onnxruntime-node does not include it", undefined);
  }
  try {
    await runProbe(options);
  } catch (cause) {
    if (cause instanceof TrommelError) throw cause;
    throw unavailable(device, firstSentence(messageOf(cause)), cause);
  }
  const description =
    device === "cpu"
      ? `ONNX Runtime on the CPU, ${threads} ${threads === 1 ? "thread" : "threads"}`
      : `ONNX Runtime on ${device}, probed without CPU fall-back`;
  return { requested: device, provider: device, threads, description };
}

/** With this entry a session is refused if any of its operators would run on the CPU. */
export const withoutCpu = { disable_cpu_ep_fallback: "1" } as const;

/** Whether that was the reason for a refusal. */
export function forbidsCpu(thrown: unknown): boolean {
  return /fallback to CPU EP has been explicitly disabled/.test(messageOf(thrown));
}

/**
 * Options of every session. The requested device is the only provider listed, so that its absence is an error.
 *
 * Memory patterns are off: with them ONNX Runtime maps one block for all activations of a run and unmaps it afterwards; at 48
 * views of 224 × 224 the kernel needed a third of the time to zero its pages (and the run twice the memory).
 * Waiting threads do not spin, because a worker shares its cores with decoding and with other workers.
 */
export function sessionOptions(
  { device, threads }: EngineOptions,
  entries: Readonly<Record<string, string>> = {},
): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    enableMemPattern: false,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
    extra: { session: { intra_op: { allow_spinning: "0" }, ...entries } },
  };
}

async function runProbe(options: EngineOptions): Promise<void> {
  const session = await InferenceSession.create(probeModel(), {
    ...sessionOptions(options, options.device === "cpu" ? {} : withoutCpu),
    logSeverityLevel: 4,
  });
  try {
    const image = new Tensor("float32", Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [1, 1, 3, 3]);
    const { sums } = await session.run({ image });
    const got = Array.from((sums?.data ?? []) as Float32Array);
    // Sums of 2×2 neighbours of the image above.
    if (got.join() !== "12,16,24,28") {
      throw unavailable(options.device, `a small convolution returned ${got.join()}`, undefined);
    }
  } finally {
    await session.release();
  }
}

function probeModel(): Uint8Array {
  const builder = new GraphBuilder({ graphName: "trommel_probe" });
  const image = builder.input("image", "float32", [1, 1, 3, 3]);
  const ones = builder.constant("ones", "float32", [1, 1, 2, 2], Float32Array.of(1, 1, 1, 1));
  const sums = builder.node("Conv", [image, ones], { kernel_shape: [2, 2] });
  builder.output("sums", "float32", [1, 1, 2, 2], builder.node("Relu", [sums]));
  return builder.encode();
}

function unavailable(device: Device, why: string, cause: unknown): TrommelError {
  const backends = listSupportedBackends();
  const names = backends.map(({ name, bundled }) => (bundled ? name : `${name} (needs extra files)`));
  return new TrommelError(
    "device-unavailable",
    `cannot use the device ${device}: ${why}. Choose --device cpu, or give this machine a working ${device} ` +
      `(this onnxruntime-node supports: ${names.join(", ")})`,
    {
      context: { device, backends: backends.map(({ name }) => name) },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}

/** ONNX Runtime's messages start with source paths and function signatures. */
function firstSentence(message: string): string {
  const lines = message.split("\n").filter((line) => line.trim() !== "");
  const line = lines[0] ?? "no reason given";
  return line.replace(/^.* was false\. /, "").replace(/[.\s]+$/, "");
}
