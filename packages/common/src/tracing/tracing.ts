import type { Telemetry } from "bullmq";
import { messageOf, TrommelError } from "../errors.js";
import { memberName, memberVersion } from "../jobs/members/member-beat.js";
import { withTimeout } from "../waiting/with-timeout.js";

/**
 * Traces by OpenTelemetry, if OTEL_EXPORTER_OTLP_ENDPOINT (or that of traces alone) is set: BullMQ makes a span of each job that is
 * queued or worked on, and what a job queues belongs to its trace, so that a run or scoring is one trace. The packages are optional, and
 * loaded only then. Every process has one exporter.
 */

/** What is lost if the collector does not answer at the end of a process. */
const flushMs = 3000;
const packages = [
  "bullmq-otel",
  "@opentelemetry/api",
  "@opentelemetry/resources",
  "@opentelemetry/sdk-trace-node",
  "@opentelemetry/exporter-trace-otlp-http",
] as const;

interface Tracing {
  readonly telemetry: Telemetry;
  flush(): Promise<void>;
}

let starting: Promise<Tracing | undefined> | undefined;
let started: Tracing | undefined;

/**
 * Starts the traces of this process; nothing without the variable, or the second time.
 * @throws TrommelError `unsupported` if the variable is set and a package is missing
 */
export async function startTracing(kind: "command" | "coordinator" | "worker"): Promise<void> {
  starting ??= load(kind);
  started = await starting;
}

/** What queues and workers of this process are made with; nothing without traces. */
export function tracingOptions(): { readonly telemetry?: Telemetry } {
  return started === undefined ? {} : { telemetry: started.telemetry };
}

/** Sends the spans that have ended; for the end of a process. */
export async function flushTracing(): Promise<void> {
  if (started === undefined) return;
  await withTimeout({ timeoutMs: flushMs, doing: "send traces" }, started.flush()).catch(() => undefined);
}

async function load(kind: string): Promise<Tracing | undefined> {
  const { env } = process;
  const endpoint = env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] ?? env["OTEL_EXPORTER_OTLP_ENDPOINT"] ?? "";
  if (endpoint === "" || env["OTEL_SDK_DISABLED"] === "true") return undefined;
  try {
    const [{ BullMQOtel }, { resourceFromAttributes }, sdk, { OTLPTraceExporter }] = await Promise.all([
      import("bullmq-otel"),
      import("@opentelemetry/resources"),
      import("@opentelemetry/sdk-trace-node"),
      import("@opentelemetry/exporter-trace-otlp-http"),
    ]);
    const provider = new sdk.NodeTracerProvider({
      resource: resourceFromAttributes({
        "service.name": env["OTEL_SERVICE_NAME"] ?? `trommel-${kind}`,
        "service.version": memberVersion,
        "service.instance.id": memberName(),
      }),
      spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter(), { scheduledDelayMillis: 1000 })],
    });
    provider.register();
    return {
      telemetry: new BullMQOtel({ tracerName: "trommel", version: memberVersion }),
      flush: () => provider.forceFlush(),
    };
  } catch (cause) {
    throw new TrommelError(
      "unsupported",
      `cannot send traces to ${endpoint}: ${messageOf(cause)}. Run "npm install ${packages.join(" ")}" where Trommel is installed, or unset OTEL_EXPORTER_OTLP_ENDPOINT`,
      { cause },
    );
  }
}
