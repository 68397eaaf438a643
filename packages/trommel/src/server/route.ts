import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import type { Trommel } from "../trommel.js";
import type { Access } from "./access/access.js";
import type { Need } from "./access/guard.js";
import type { Caches } from "./answers/caches.js";
import type { Poller } from "./overview/poller.js";
import type { Roots } from "./roots.js";

/** What the routes answer from. */
export interface ServerContext {
  readonly trommel: Trommel;
  readonly poller: Poller;
  readonly roots: Roots;
  readonly access: Access;
  readonly caches: Caches;
  /** Whether work is left to the cluster of a Redis; otherwise this process's own cluster does it. */
  readonly detach: boolean;
  /** Aborts when the server closes. */
  readonly signal: AbortSignal;
}

/** A request whose parts are parsed. */
export interface Asked<Query, Body> {
  /** The `{id}` of the path; empty without one. */
  readonly id: string;
  readonly query: Query;
  readonly body: Body;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** A route of the API: what it takes and gives, from which the server and its OpenAPI document are made. */
interface Route<Query extends z.ZodObject, Body extends z.ZodType> {
  readonly method: "GET" | "POST" | "DELETE";
  /** Below `/api/v1`, with `{id}` for that of a run. */
  readonly path: string;
  /** What it does, after "This route". */
  readonly summary: string;
  readonly tag: string;
  /** @default "read" for GET, otherwise "act" */
  readonly need?: Need;
  readonly query?: Query;
  readonly body?: Body;
  /** The media type of a body of bytes, and how many it may have; a body of JSON otherwise. */
  readonly bytes?: { readonly atMost: number };
  /** The schema of an answer in JSON. */
  readonly answer?: z.ZodType;
  /** The status of an answer in JSON. @default 200 */
  readonly status?: number;
  /** The media type of any other answer. */
  readonly media?: string;
  /** Whether an `Idempotency-Key` is taken. */
  readonly idempotent?: boolean;
  /** Whether the answer may take longer than others: streams. */
  readonly isStream?: boolean;
  /** @returns the answer in JSON, or the reply where it has been sent */
  readonly handle: (
    context: ServerContext,
    asked: Asked<z.output<Query>, z.output<Body>>,
  ) => Promise<unknown>;
}

/** A route whose types are forgotten. */
export type AnyRoute = Omit<Route<z.ZodObject, z.ZodType>, "handle"> & {
  readonly handle: (context: ServerContext, asked: Asked<never, never>) => Promise<unknown>;
};

/** Declares a route with the types of its query and body. */
export function route<Query extends z.ZodObject, Body extends z.ZodType>(
  declared: Route<Query, Body>,
): AnyRoute {
  return declared;
}

/** What a route needs, by its method where it does not say. */
export function needOf({ need, method }: Pick<AnyRoute, "need" | "method">): Need {
  return need ?? (method === "GET" ? "read" : "act");
}
