import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ModelWork } from "./model-work.js";
import type { AnchorMeasurement, AnchorOptions, AnchorTask } from "./runtime-alone.js";

/**
 * How ONNX Runtime is set up. `worker`: one session with the worker's options. `default`: one with its own, which takes whole
 * batches. `sideBySide`: as many sessions of one thread as there are threads, as the worker has them, each in a process of
 * its own.
 */
export const anchorSetups = ["worker", "default", "sideBySide"] as const;
export type AnchorSetup = (typeof anchorSetups)[number];

export interface AnchorWork {
  readonly graph: ModelWork;
  /** Folder of class folders. */
  readonly pictures: string;
  readonly threads: number;
}

/** ONNX Runtime alone, every input in memory; see runtime-alone.ts. */
export class Anchor {
  readonly #processes: readonly AnchorProcess[];

  constructor(work: AnchorWork, setup: AnchorSetup) {
    const of = setup === "sideBySide" ? work.threads : 1;
    const threads = setup === "sideBySide" ? 1 : work.threads;
    const session = setup === "default" ? "default" : "worker";
    this.#processes = Array.from(
      { length: of },
      (_, index) => new AnchorProcess({ ...work, threads, session, share: { index, of } }),
    );
  }

  async ready(): Promise<void> {
    for (const one of this.#processes) await one.ready;
  }

  /** Every picture once. Processes side by side start together; the last one's end is the end. */
  async measure(task: AnchorTask): Promise<AnchorMeasurement> {
    const parts = await Promise.all(this.#processes.map((one) => one.measure(task)));
    const sum = (pick: (part: AnchorMeasurement) => number): number =>
      parts.reduce((total, part) => total + pick(part), 0);
    const seconds = Math.max(...parts.map((part) => part.seconds));
    const cpuSeconds = sum((part) => part.cpuSeconds);
    const busySeconds = Math.max(...parts.map((part) => part.cpuSeconds + part.otherCpuSeconds));
    return {
      seconds,
      cpuSeconds,
      otherCpuSeconds: Math.max(0, busySeconds - cpuSeconds),
      images: sum((part) => part.images),
    };
  }

  stop(): void {
    for (const one of this.#processes) one.stop();
  }
}

class AnchorProcess {
  readonly ready: Promise<unknown>;
  readonly #child: ChildProcess;

  constructor(options: AnchorOptions) {
    const entry = fileURLToPath(new URL("./runtime-alone.js", import.meta.url));
    // The environment of a worker of the embedded cluster.
    const env = { MALLOC_ARENA_MAX: "2", ...process.env };
    this.#child = fork(entry, [JSON.stringify(options)], { env });
    this.ready = this.#message();
    this.ready.catch(() => undefined);
  }

  async measure(task: AnchorTask): Promise<AnchorMeasurement> {
    this.#child.send(task);
    return (await this.#message()) as AnchorMeasurement;
  }

  stop(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  async #message(): Promise<unknown> {
    const ended = once(this.#child, "exit").then(() => {
      throw new Error("the anchor's process has ended; its own words are above");
    });
    ended.catch(() => undefined);
    const [message] = (await Promise.race([once(this.#child, "message"), ended])) as [unknown];
    return message;
  }
}
