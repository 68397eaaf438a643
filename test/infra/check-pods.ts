import { z } from "zod";

/** This repository's rules for what the chart runs: who the processes are, what they may take, and that services find them. */

const labels = z.record(z.string(), z.string());
const container = z.looseObject({
  name: z.string(),
  args: z.array(z.string()),
  ports: z.array(z.object({ name: z.string(), containerPort: z.int() })).default([]),
  readinessProbe: z.unknown(),
  securityContext: z.looseObject({
    readOnlyRootFilesystem: z.boolean().default(false),
    allowPrivilegeEscalation: z.boolean().default(true),
    capabilities: z.object({ drop: z.array(z.string()).default([]) }).default({ drop: [] }),
  }),
  resources: z.object({
    requests: z.record(z.string(), z.unknown()).default({}),
    limits: z.record(z.string(), z.unknown()).default({}),
  }),
});
const deploymentSpec = z.looseObject({
  template: z.object({
    metadata: z.looseObject({ labels }),
    spec: z.looseObject({
      securityContext: z.looseObject({
        runAsNonRoot: z.boolean().default(false),
        runAsUser: z.int().default(0),
      }),
      containers: z.array(container),
    }),
  }),
});
const selection = z.union([
  z.object({ matchLabels: labels }).transform(({ matchLabels }) => matchLabels),
  labels,
]);
const selectorSpec = z.looseObject({ selector: selection });
const serviceSpec = z.looseObject({ ports: z.array(z.looseObject({ targetPort: z.string() })) });

/** What the chart makes of the Prometheus operator's PodMonitor; its own schema is not among those of Kubernetes. */
const podMonitor = z.strictObject({
  apiVersion: z.literal("monitoring.coreos.com/v1"),
  kind: z.literal("PodMonitor"),
  metadata: z.strictObject({ name: z.string(), labels }),
  spec: z.strictObject({
    selector: z.strictObject({
      matchLabels: labels,
      matchExpressions: z.array(
        z.strictObject({ key: z.string(), operator: z.literal("In"), values: z.array(z.string()) }),
      ),
    }),
    podMetricsEndpoints: z.array(
      z.strictObject({ port: z.string(), path: z.string(), interval: z.string().regex(/^\d+s$/) }),
    ),
  }),
});

export class PodMonitor {
  readonly #manifest: unknown;
  constructor(manifest: unknown) {
    this.#manifest = manifest;
  }
  /** @throws ZodError */
  validate(): void {
    podMonitor.parse(this.#manifest);
  }
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: unknown;
}

/** What is wrong with the pods of rendered manifests and with what selects them, one line each. */
export function podProblems(manifests: readonly Manifest[]): string[] {
  const deployments = manifests
    .filter(({ kind }) => kind === "Deployment")
    .map(({ metadata, spec }) => ({ name: metadata.name, ...deploymentSpec.parse(spec).template }));
  const problems = deployments.flatMap(({ name, spec }) => [
    ...(spec.securityContext.runAsNonRoot && spec.securityContext.runAsUser > 0
      ? []
      : [`${name} may run as root`]),
    ...spec.containers.flatMap((one) => containerProblems(name, one)),
  ]);
  for (const { kind, metadata, spec } of manifests) {
    if (kind !== "Service" && kind !== "PodDisruptionBudget" && kind !== "PodMonitor") continue;
    const { selector } = selectorSpec.parse(spec);
    const selected = deployments.filter(({ metadata: { labels: own } }) =>
      Object.entries(selector).every(([label, value]) => own[label] === value),
    );
    if (selected.length === 0) problems.push(`${kind} ${metadata.name} selects no pod`);
    if (kind !== "Service") continue;
    const ports = selected.flatMap((one) => one.spec.containers).flatMap((one) => one.ports);
    for (const { targetPort } of serviceSpec.parse(spec).ports) {
      if (!ports.some(({ name }) => name === targetPort))
        problems.push(`${metadata.name} leads to the port ${targetPort}, which no container has`);
    }
  }
  return problems;
}

function containerProblems(
  deployment: string,
  { securityContext, resources, readinessProbe }: z.infer<typeof container>,
): string[] {
  const problems: string[] = [];
  if (!securityContext.readOnlyRootFilesystem) problems.push("may write to its root filesystem");
  if (securityContext.allowPrivilegeEscalation) problems.push("may gain privileges");
  if (!securityContext.capabilities.drop.includes("ALL")) problems.push("keeps capabilities");
  if (readinessProbe === undefined) problems.push("has no readiness probe");
  for (const resource of ["cpu", "memory"])
    if (resources.requests[resource] === undefined) problems.push(`requests no ${resource}`);
  if (resources.limits["memory"] === undefined) problems.push("has no limit of memory");
  return problems.map((problem) => `${deployment} ${problem}`);
}
