import type { Redis } from "ioredis";
import { z } from "zod";

/**
 * What KEDA and Kubernetes' horizontal autoscaler make of the chart's ScaledObject, at times that a test gives: the formulas of KEDA 2.17
 * (pkg/scaling/executor/scale_scaledobjects.go, pkg/scalers/redis_scaler.go) and of Kubernetes' podautoscaler with its default
 * behaviour. The metrics are read from a real Redis, as KEDA's scaler reads them.
 */

const trigger = z.object({
  name: z.string(),
  type: z.literal("redis"),
  metadata: z.looseObject({
    listName: z.string(),
    listLength: z.coerce.number(),
    activationListLength: z.coerce.number(),
  }),
});

/** The part of a ScaledObject's spec that decides how many replicas there are. */
export const scaledObjectSpec = z.looseObject({
  minReplicaCount: z.int(),
  maxReplicaCount: z.int(),
  pollingInterval: z.int(),
  cooldownPeriod: z.int(),
  triggers: z.array(trigger),
});
export type ScaledObjectSpec = z.infer<typeof scaledObjectSpec>;

/** The script of KEDA's scaler `redis`: the length of a key by its type. */
const lengthOfKey = `
local listName = KEYS[1]
local listType = redis.call('type', listName).ok
local cmd = {
  zset = 'zcard',
  set = 'scard',
  list = 'llen',
  hash = 'hlen',
  none = 'llen'
}
return redis.call(cmd[listType], listName)`;

/** How often Kubernetes' autoscaler looks, its tolerance, and its default behaviour; all of them its defaults. */
const hpa = {
  syncSeconds: 15,
  tolerance: 0.1,
  stabilizationSeconds: 300,
  /** In each period of 15 seconds at most the larger of so many more, and of twice as many. */
  policy: { periodSeconds: 15, pods: 4, factor: 2 },
} as const;

interface Reading {
  readonly value: number;
  readonly target: number;
  readonly isActive: boolean;
}

/** The replicas of one deployment over time, in seconds. */
export class Autoscaler {
  replicas = 0;
  readonly changes: { readonly at: number; readonly replicas: number }[] = [];
  readonly #recommendations: { readonly at: number; readonly replicas: number }[] = [];
  readonly #growth: { readonly at: number; readonly by: number }[] = [];
  #lastActive: number | undefined;

  /** @param hpaPhase seconds after a whole multiple of its period at which Kubernetes' autoscaler looks */
  constructor(
    private readonly spec: ScaledObjectSpec,
    private readonly redis: Redis,
    private readonly hpaPhase: number,
  ) {}

  /** One second passes. */
  async tick(at: number): Promise<void> {
    if (at % this.spec.pollingInterval === 0) this.#poll(at, await this.#read());
    if (at % hpa.syncSeconds === this.hpaPhase && this.replicas > 0) this.#sync(at, await this.#read());
  }

  async #read(): Promise<Reading[]> {
    return Promise.all(
      this.spec.triggers.map(async ({ metadata: { listName, listLength, activationListLength } }) => {
        const value = Number(await this.redis.eval(lengthOfKey, 1, listName));
        return { value, target: listLength, isActive: value > activationListLength };
      }),
    );
  }

  /** KEDA: from zero as soon as a trigger is active, to zero after none was for the cooldown. */
  #poll(at: number, readings: readonly Reading[]): void {
    const { minReplicaCount, cooldownPeriod } = this.spec;
    if (readings.some(({ isActive }) => isActive)) {
      if (this.replicas === 0) this.#set(at, Math.max(1, minReplicaCount));
      this.#lastActive = at;
    } else if (this.replicas > 0 && minReplicaCount === 0) {
      if (this.#lastActive === undefined || this.#lastActive + cooldownPeriod <= at) this.#set(at, 0);
    }
  }

  /** Kubernetes: ceil(value / target) of the trigger that wants most, within what its behaviour allows. */
  #sync(at: number, readings: readonly Reading[]): void {
    const desired = Math.max(...readings.map((reading) => this.#desiredBy(reading)));
    const recent = this.#recommendations.filter((one) => one.at > at - hpa.stabilizationSeconds);
    this.#recommendations.push({ at, replicas: desired });
    const stable =
      desired < this.replicas
        ? Math.min(this.replicas, Math.max(desired, ...recent.map(({ replicas }) => replicas)))
        : desired;
    const { pods, factor, periodSeconds } = hpa.policy;
    const grown = this.#growth
      .filter((one) => one.at > at - periodSeconds)
      .reduce((sum, { by }) => sum + by, 0);
    const base = this.replicas - grown;
    const limit = Math.min(this.spec.maxReplicaCount, Math.max(base * factor, base + pods));
    const next = Math.max(1, this.spec.minReplicaCount, Math.min(stable, Math.max(limit, this.replicas)));
    if (next > this.replicas) this.#growth.push({ at, by: next - this.replicas });
    if (next !== this.replicas) this.#set(at, next);
  }

  #desiredBy({ value, target }: Reading): number {
    const ratio = value / (target * this.replicas);
    return Math.abs(1 - ratio) <= hpa.tolerance ? this.replicas : Math.ceil(value / target);
  }

  #set(at: number, replicas: number): void {
    this.replicas = replicas;
    this.changes.push({ at, replicas });
  }
}
