import cookie from "@fastify/cookie";
import helmet from "@fastify/helmet";
import rateLimit from "@fastify/rate-limit";
import { TrommelError } from "@trommel/common";
import type { ClusterMetrics } from "@trommel/common/metrics";
import { runId } from "@trommel/common/artefacts";
import { parseAs } from "@trommel/common/parse";
import { withTimeout } from "@trommel/common/waiting";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { addGuard } from "./access/guard.js";
import { addPage, type PageFile } from "./page.js";
import { Idempotency } from "./idempotency.js";
import { openApiOf } from "./openapi.js";
import { problemOf, StatusError } from "./problem.js";
import { needOf, type AnyRoute, type ServerContext } from "./route.js";
import { actingRoutes } from "./routes/acting.js";
import { eventRoutes } from "./routes/events.js";
import { fileRoutes } from "./routes/files.js";
import { predictionRoutes } from "./routes/predictions.js";
import { readingRoutes } from "./routes/reading.js";
import { sessionRoutes } from "./routes/session.js";
import { tryingRoutes } from "./routes/trying.js";

/** Every route below `/api/v1`. */
const apiRoutes: readonly AnyRoute[] = [
  ...readingRoutes,
  ...predictionRoutes,
  ...eventRoutes,
  ...fileRoutes,
  ...actingRoutes,
  ...tryingRoutes,
  ...sessionRoutes,
];

/** An answer that is no stream comes within this, or is a problem. */
const answerWithinMs = 60_000;
const jsonBytesAtMost = 1 << 20;
/** Requests of one address in a minute. */
const perMinute = { requests: 1200, logIns: 20 };

export interface ServerSettings {
  readonly isLoopback: boolean;
  readonly log: Logger;
  /** Counts the requests. */
  readonly metrics: Pick<ClusterMetrics, "requests">;
  readonly page: readonly PageFile[];
  /** @default one minute */
  readonly answerWithinMs?: number;
}

/** The server, which listens to nothing yet. */
export async function buildServer(
  context: ServerContext,
  settings: ServerSettings,
): Promise<FastifyInstance> {
  const { isLoopback, log } = settings;
  const server = fastify({
    bodyLimit: jsonBytesAtMost,
    // A peer that sends its headers or its body slowly holds no connection for long.
    requestTimeout: 60_000,
    connectionTimeout: 0,
    keepAliveTimeout: 20_000,
    forceCloseConnections: true,
    // What a query says twice is one text too many: it is refused by its schema.
    routerOptions: { maxParamLength: 100 },
  });
  server.setErrorHandler((thrown, request, reply) => {
    const found = problemOf(thrown, pathOf(request), request.routeOptions);
    if (found.status === 500) log.error({ err: thrown, path: found.instance }, "a request failed");
    return reply
      .status(found.status)
      .header("content-type", "application/problem+json")
      .send(Buffer.from(JSON.stringify(found)));
  });
  server.addHook("onResponse", (request, { statusCode }, done) => {
    // The pattern of the route: addresses have ids, and would be without number.
    const { url: route = "none" } = request.routeOptions;
    settings.metrics.requests.inc({ method: request.method, route, status: String(statusCode) });
    done();
  });
  server.setNotFoundHandler((request) => {
    throw new TrommelError(
      "not-found",
      `cannot find ${request.method} ${pathOf(request)}: the server has no such route. GET /api/v1/openapi.json lists them`,
    );
  });
  await server.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", "blob:"],
        connectSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    frameguard: { action: "deny" },
    referrerPolicy: { policy: "no-referrer" },
    // The server speaks plain HTTP; whatever speaks TLS before it says this.
    strictTransportSecurity: false,
  });
  await server.register(cookie);
  await server.register(rateLimit, {
    max: perMinute.requests,
    timeWindow: 60_000,
    errorResponseBuilder: (_, { ttl }) => tooMany(ttl),
  });
  addGuard(server, { access: context.access, isLoopback });
  server.removeContentTypeParser("text/plain");
  for (const type of ["application/octet-stream", /^image\//])
    server.addContentTypeParser(type, { parseAs: "buffer" }, (_, body, done) => done(null, body));
  const idempotency = new Idempotency();
  for (const route of apiRoutes) addRoute(server, route, { context, idempotency, settings });
  const document = openApiOf(apiRoutes);
  server.get("/api/v1/openapi.json", { config: { need: "open" } }, () => document);
  server.get("/healthz", { config: { need: "open" } }, () => ({ ok: true }));
  addPage(server, settings.page);
  return server;
}

function addRoute(
  server: FastifyInstance,
  route: AnyRoute,
  shared: {
    readonly context: ServerContext;
    readonly idempotency: Idempotency;
    readonly settings: ServerSettings;
  },
): void {
  const { method, path, bytes, status = 200 } = route;
  const isLogIn = path === "/session" && method === "POST";
  server.route({
    method,
    url: `/api/v1${path.replace("{id}", ":id")}`,
    ...(bytes === undefined ? {} : { bodyLimit: bytes.atMost }),
    config: {
      need: needOf(route),
      takesBytes: bytes !== undefined,
      ...(isLogIn ? { rateLimit: { max: perMinute.logIns, timeWindow: 60_000 } } : {}),
    },
    handler: async (request, reply) => {
      const answer = await answerTo(route, request, reply, shared);
      if (reply.sent || answer === reply) return reply;
      return reply.status(status).send(answer);
    },
  });
}

async function answerTo(
  route: AnyRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  { context, idempotency, settings }: Parameters<typeof addRoute>[2],
): Promise<unknown> {
  const { method, path } = route;
  const what = `${method} /api/v1${path}`;
  const { id = "" } = request.params as { readonly id?: string };
  if (path.includes("{id}") && !runId.safeParse(id).success)
    throw new TrommelError("not-found", `cannot find the run ${JSON.stringify(id)}: no run has such an id`);
  const query = parseQuery(route, request.query, what);
  const body: unknown = route.body === undefined ? undefined : parseBody(route.body, request.body, what);
  const asked = { id, query, body, request, reply } as never;
  const work = (): Promise<unknown> => {
    const handling = route.handle(context, asked);
    if (route.isStream === true) return handling;
    const timeoutMs = settings.answerWithinMs ?? answerWithinMs;
    return withTimeout({ timeoutMs, doing: `answer ${what}` }, handling);
  };
  const key = request.headers["idempotency-key"];
  if (route.idempotent !== true || key === undefined) return work();
  return idempotency.once(String(key), { path: `${method} ${pathOf(request)}`, body }, work);
}

/** @throws TrommelError `invalid-argument` naming a filter that does not exist, and those that do */
function parseQuery({ query }: AnyRoute, given: unknown, what: string): unknown {
  const names = Object.keys(given ?? {});
  if (query !== undefined) return parseAs(query, given ?? {}, `the query of ${what}`);
  if (names.length === 0) return {};
  throw new TrommelError(
    "invalid-argument",
    `cannot read the query of ${what}: ${names.join(", ")} is unknown; it takes none. Leave it out`,
  );
}

function parseBody(schema: NonNullable<AnyRoute["body"]>, given: unknown, what: string): unknown {
  return parseAs(schema, given ?? undefined, `the body of ${what}`);
}

function pathOf({ url }: FastifyRequest): string {
  return url.split("?")[0] ?? "";
}

function tooMany(ttlMs: number): StatusError {
  return new StatusError(
    429,
    "unavailable",
    `cannot answer: too many requests came from this address in a minute. Try again in ${Math.ceil(ttlMs / 1000)} s`,
    { retryable: true },
  );
}
