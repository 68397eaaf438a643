import { z } from "zod";
import { version } from "../version.js";
import { sessionCookie } from "./access/guard.js";
import { problem } from "./problem.js";
import { needOf, type AnyRoute } from "./route.js";

type Json = Readonly<Record<string, unknown>>;

/** The OpenAPI 3.1 document of the routes, whose schemas are those that requests are parsed with. */
export function openApiOf(routes: readonly AnyRoute[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes)
    (paths[`/api/v1${route.path}`] ??= {})[route.method.toLowerCase()] = operationOf(route);
  return {
    openapi: "3.1.0",
    info: { title: "Trommel", version, description: "Submits, follows and reads trainings and scorings" },
    servers: [{ url: "/" }],
    security: [{ bearer: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: sessionCookie },
      },
      schemas: { Problem: schemaOf(problem, "output") },
    },
  };
}

function operationOf(route: AnyRoute): Json {
  const { method, path, summary, tag, media, status = 200, bytes, answer, idempotent = false } = route;
  const content = media === undefined ? "application/json" : media;
  const schema = answer === undefined ? {} : { schema: schemaOf(answer, "output") };
  return {
    operationId: nameOf(method, path),
    tags: [tag],
    summary,
    description: needs[needOf(route)],
    ...(needOf(route) === "open" ? { security: [] } : {}),
    parameters: [...pathParameters(path), ...queryParameters(route), ...(idempotent ? [idempotencyKey] : [])],
    ...(route.body === undefined ? {} : { requestBody: bodyOf(route.body, bytes !== undefined) }),
    responses: {
      [status]: { description: "The answer", content: { [content]: schema } },
      default: {
        description: "What is refused or fails",
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    },
  };
}

const needs = {
  open: "Needs no token.",
  read: "Needs a token unless the server listens on loopback alone.",
  act: "Needs a token.",
} as const;

const idempotencyKey = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    "The same key and body give the same answer for a day; the same key with another body is refused",
  schema: { type: "string", minLength: 1, maxLength: 255 },
};

function nameOf(method: string, path: string): string {
  const words = path.split(/[^a-z]+/).filter((word) => word !== "");
  const verb = { GET: "get", POST: "post", DELETE: "delete" }[method] ?? method;
  return verb + words.map((word) => `${word[0]?.toUpperCase() ?? ""}${word.slice(1)}`).join("");
}

function pathParameters(path: string): Json[] {
  if (!path.includes("{id}")) return [];
  return [{ name: "id", in: "path", required: true, schema: { type: "string" } }];
}

function queryParameters({ query }: AnyRoute): Json[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(query, "input") as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    ...{ name, in: "query", required: required.includes(name), schema },
    ...(description === undefined ? {} : { description }),
  }));
}

function bodyOf(body: z.ZodType, isBytes: boolean): Json {
  if (isBytes) return { required: true, content: { "application/octet-stream": {}, "image/*": {} } };
  const required = !body.safeParse(undefined).success;
  return { required, content: { "application/json": { schema: schemaOf(body, "input") } } };
}

/** JSON Schema of 2020-12, which OpenAPI 3.1 takes as it is. */
function schemaOf(schema: z.ZodType, io: "input" | "output"): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}
