import { setTimeout as sleep } from "node:timers/promises";
import type { ChaosCluster } from "../processes/chaos-cluster.js";
import { faultKinds, type Fault, type FaultKind, type ScheduledFault } from "./fault-schedule.js";
import type { CommandSlot } from "../commands.js";
import type { SupervisedProcess } from "../processes/supervised-process.js";

/** Carries a schedule of faults out, while a round is under way. */
export class FaultInjector {
  /** Faults that met something. */
  readonly injected = new Map<FaultKind, number>();
  /** Is fulfilled when each kind has met something. */
  readonly metEveryKind: Promise<void>;
  readonly #cluster: ChaosCluster;
  readonly #slot: CommandSlot;
  readonly #say: (line: string) => void;
  #metAll: () => void = () => undefined;
  /** Faults that met nothing, one of a kind: they are tried again before each further one. */
  readonly #heldOver = new Map<FaultKind, Fault>();
  /** Those that met nothing while another of their kind was held over already. */
  #dropped = 0;
  /** What heals by itself after a time. */
  readonly #healing = new Set<Promise<void>>();
  #isOpen = false;
  #opened: () => void = () => undefined;

  constructor(cluster: ChaosCluster, slot: CommandSlot, say: (line: string) => void) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.#say = say;
    this.metEveryKind = new Promise((resolve) => {
      this.#metAll = resolve;
    });
  }

  /** Faults whose victim was gone, or not there yet, to the end. */
  get missed(): number {
    return this.#dropped + this.#heldOver.size;
  }

  /** Until the signal aborts. Faults wait while the gate is closed. @param pace by what the gaps between them are stretched */
  async run(schedule: Iterator<ScheduledFault, never>, pace: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const { afterMs, fault } = schedule.next().value;
      await sleep(afterMs * pace, undefined, { signal }).catch(() => undefined);
      while (!this.#isOpen && !signal.aborted) await this.#untilOpened(signal);
      if (signal.aborted) return;
      for (const held of [...this.#heldOver.values()]) await this.#try(held, signal);
      await this.#try(fault, signal);
    }
  }

  open(): void {
    this.#isOpen = true;
    this.#opened();
  }

  /** No further fault, and those that heal have healed. */
  async shut(): Promise<void> {
    this.#isOpen = false;
    await Promise.all(this.#healing);
  }

  async #untilOpened(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#opened = resolve;
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  async #try(fault: Fault, signal: AbortSignal): Promise<void> {
    const isHeld = this.#heldOver.get(fault.kind) === fault;
    if (await this.#inject(fault, signal)) {
      this.#say(describe(fault));
      this.injected.set(fault.kind, (this.injected.get(fault.kind) ?? 0) + 1);
      if (isHeld) this.#heldOver.delete(fault.kind);
      if (faultKinds.every((kind) => this.injected.has(kind))) this.#metAll();
      return;
    }
    if (isHeld) return;
    this.#say(`${describe(fault)} (not there)`);
    if (this.#heldOver.has(fault.kind)) this.#dropped += 1;
    else this.#heldOver.set(fault.kind, fault);
  }

  async #inject(fault: Fault, signal: AbortSignal): Promise<boolean> {
    const { workers, coordinators, takeOvers, redis, proxy } = this.#cluster;
    switch (fault.kind) {
      case "kill-worker":
        return takeOvers.kill(part(workers, fault.worker));
      case "stop-worker":
        return part(workers, fault.worker).signal("SIGTERM");
      case "pause-worker":
        return this.#pause(part(workers, fault.worker), fault.forMs, signal);
      case "kill-coordinator":
        return takeOvers.kill(part(coordinators, fault.coordinator));
      case "pause-coordinator":
        return this.#pause(part(coordinators, fault.coordinator), fault.forMs, signal);
      case "kill-command":
        this.#slot.running?.kill("SIGKILL");
        return this.#slot.running !== undefined;
      case "repeat-command":
        return this.#slot.repeat();
      case "cancel-run":
        return this.#slot.cancel();
      case "kill-redis":
      case "lose-redis":
        if (!redis.isUp) return false;
        await redis.kill();
        this.#heal(fault.awayMs, signal, () => redis.comeBack({ empty: fault.kind === "lose-redis" }));
        return true;
      case "flush-redis":
        if (!redis.isUp) return false;
        await redis.flush();
        return true;
      case "bad-network":
        this.#heal(fault.forMs, signal, proxy.spoil(fault.share, fault.seed));
        return true;
    }
  }

  #pause(process: SupervisedProcess, forMs: number, signal: AbortSignal): boolean {
    const { pid } = process;
    if (process.isPaused || !process.signal("SIGSTOP")) return false;
    this.#heal(forMs, signal, () => {
      if (process.pid === pid) process.signal("SIGCONT");
    });
    return true;
  }

  /** Undoes a fault after a time, or at once when the run is over. */
  #heal(afterMs: number, signal: AbortSignal, heal: () => void | Promise<void>): void {
    const healing = (async () => {
      await sleep(afterMs, undefined, { signal }).catch(() => undefined);
      await heal();
    })().finally(() => this.#healing.delete(healing));
    this.#healing.add(healing);
  }
}

function part(processes: readonly SupervisedProcess[], index: number): SupervisedProcess {
  const found = processes[index];
  if (found === undefined) throw new Error(`there is no process ${index}`);
  return found;
}

function describe({ kind, ...figures }: Fault): string {
  const rest = Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toFixed(2))}`);
  return [kind, ...rest].join(" ");
}
