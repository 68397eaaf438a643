import { readFile } from "node:fs/promises";
import { ScaledObject, TriggerAuthentication } from "@kubernetes-models/keda/keda.sh/v1alpha1";
import { workerQueues } from "@trommel/common";
import { queuePrefixOf } from "@trommel/common/jobs";
import { Ajv, type AnySchema } from "ajv";
import { Deployment } from "kubernetes-models/apps/v1";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1";
import { ConfigMap, Secret, Service, ServiceAccount } from "kubernetes-models/v1";
import { parse, parseAllDocuments } from "yaml";
import { z } from "zod";
import { PodMonitor, podProblems } from "./check-pods.js";

/** The kinds that the chart makes, each with the validator generated from Kubernetes' or KEDA's own schema. */
const models: Readonly<Record<string, new (manifest: never) => { validate(): void }>> = {
  "v1/ConfigMap": ConfigMap,
  "v1/Secret": Secret,
  "v1/Service": Service,
  "v1/ServiceAccount": ServiceAccount,
  "apps/v1/Deployment": Deployment,
  "policy/v1/PodDisruptionBudget": PodDisruptionBudget,
  "keda.sh/v1alpha1/ScaledObject": ScaledObject,
  "keda.sh/v1alpha1/TriggerAuthentication": TriggerAuthentication,
  "monitoring.coreos.com/v1/PodMonitor": PodMonitor,
};

const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({}).optional(),
});
type Manifest = z.infer<typeof manifest>;

/** What is wrong with values by the chart's own schema, one line each. */
export function valuesProblems(values: unknown, schema: AnySchema): string[] {
  const fits = new Ajv({ allErrors: true }).compile(schema);
  if (fits(values)) return [];
  return (fits.errors ?? []).map(
    ({ instancePath, message }) => `${instancePath || "/"} ${message ?? "does not fit"}`,
  );
}

/** Reads a stream of rendered manifests. @throws ZodError where one is not a Kubernetes object */
export function readManifests(text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return manifest.parse(document.toJS());
  });
}

/** What is wrong with rendered manifests, one line each: their form, and references that lead nowhere. */
export function manifestProblems(manifests: readonly Manifest[]): string[] {
  const problems: string[] = [];
  for (const one of manifests) {
    const kind = `${one.apiVersion}/${one.kind}`;
    const Model = models[kind];
    if (Model === undefined) problems.push(`${kind} is no kind that this chart should make`);
    else
      problems.push(
        ...modelProblems(`${one.kind} ${one.metadata.name}`, new Model(structuredClone(one) as never)),
      );
  }
  return [...problems, ...podProblems(manifests), ...scalingProblems(manifests)];
}

function modelProblems(what: string, model: { validate(): void }): string[] {
  try {
    model.validate();
    return [];
  } catch (thrown) {
    return [`${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}`];
  }
}

const configMap = z.looseObject({ data: z.record(z.string(), z.string()) });

const scaledObject = z.looseObject({
  scaleTargetRef: z.object({ name: z.string() }),
  triggers: z.array(
    z.object({
      metadata: z.looseObject({ listName: z.string() }),
      authenticationRef: z.object({ name: z.string() }),
    }),
  ),
});

/** The scaler must watch every list of every worker queue of the cluster that the pods are of, and name a deployment and an authentication that exist. */
function scalingProblems(manifests: readonly Manifest[]): string[] {
  const has = (kind: string, name: string): boolean =>
    manifests.some((one) => one.kind === kind && one.metadata.name === name);
  const problems: string[] = [];
  const environment = manifests.filter((one) => one.kind === "ConfigMap").map((one) => configMap.parse(one));
  const prefix = queuePrefixOf(environment[0]?.data["TROMMEL_NAMESPACE"] ?? "");
  for (const { spec } of manifests.filter((one) => one.kind === "ScaledObject")) {
    const { scaleTargetRef, triggers } = scaledObject.parse(spec);
    if (!has("Deployment", scaleTargetRef.name))
      problems.push(`nothing to scale is called ${scaleTargetRef.name}`);
    for (const { authenticationRef } of triggers) {
      if (!has("TriggerAuthentication", authenticationRef.name))
        problems.push(`no ${authenticationRef.name} is there`);
    }
    const watched = triggers.map(({ metadata }) => metadata.listName).sort();
    const expected = workerQueues.flatMap((queue) =>
      ["active", "delayed", "prioritized", "wait"].map((state) => `${prefix}:${queue}:${state}`),
    );
    if (watched.join() !== expected.sort().join())
      problems.push(`it watches ${watched.join()}, not ${expected.join()}`);
  }
  return problems;
}

export const readYaml = async (file: string): Promise<unknown> =>
  parse(await readFile(file, "utf8")) as unknown;
