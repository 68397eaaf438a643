import type { FastifyInstance, FastifyRequest } from "fastify";
import { StatusError } from "../problem.js";
import type { Access } from "./access.js";
import { isLoopbackHost } from "../options.js";

/** Who may use a route: everybody; those who may read; only those with a token. */
export type Need = "open" | "read" | "act";

declare module "fastify" {
  interface FastifyContextConfig {
    /** @default "read" */
    readonly need?: Need;
    /** Whether the body is a picture's bytes, and no JSON. @default false */
    readonly takesBytes?: boolean;
  }
}

export const sessionCookie = "trommel_session";

/** Names under which programs put tokens into addresses. */
const tokenNames =
  /^(?:(?:access|auth|api|bearer)[_-]?)?(?:token|secret|password)$|^(?:api|access)[_-]?key$|^authorization$/i;

interface GuardOptions {
  readonly access: Access;
  /** Whether only this machine reaches the server: reading needs no token then. */
  readonly isLoopback: boolean;
}

/** Refuses, before anything is read, what a request may not do. */
export function addGuard(server: FastifyInstance, { access, isLoopback }: GuardOptions): void {
  server.addHook("onRequest", async (request, reply) => {
    if (isLoopback) refuseOtherHost(request);
    refuseTokenInUrl(request, access);
    const need = request.routeOptions.config.need ?? "read";
    const identity = identify(request, access);
    if (need === "open" || identity === "token") return;
    if (identity === "session") {
      if (need === "act") refuseOtherOrigin(request);
      return;
    }
    if (need === "read" && isLoopback) return;
    if (!access.hasToken)
      throw new StatusError(
        403,
        "forbidden",
        "cannot do this: the server only reads, for it has no token. Start it with --token-file or TROMMEL_TOKEN",
      );
    void reply.header("www-authenticate", "Bearer");
    throw new StatusError(401, "forbidden", `cannot do this: ${noToken}`);
  });
}

const noToken =
  "the request has no token. Send 'Authorization: Bearer <token>', or log in with POST /api/v1/session";

/** @throws StatusError for a token that is wrong, whatever the route needs */
function identify(request: FastifyRequest, access: Access): "token" | "session" | undefined {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
    if (token !== undefined && access.isToken(token)) return "token";
    throw new StatusError(401, "forbidden", "cannot do this: the token is not this server's. Check it");
  }
  const session = request.cookies[sessionCookie];
  return session !== undefined && access.isOpen(session) ? "session" : undefined;
}

/** A page elsewhere may have its own name resolve to this machine; its requests name that host. */
function refuseOtherHost({ headers: { host = "" } }: FastifyRequest): void {
  const name = host.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (isLoopbackHost(name.toLowerCase())) return;
  throw new StatusError(
    403,
    "forbidden",
    `cannot answer for the host ${JSON.stringify(host.slice(0, 100))}: this server listens on loopback alone. Use http://localhost or http://127.0.0.1`,
  );
}

function refuseTokenInUrl(request: FastifyRequest, access: Access): void {
  const query = new URLSearchParams(request.url.split("?").slice(1).join("?"));
  const isNamed = [...query.keys()].some((name) => tokenNames.test(name));
  if (!isNamed && !access.isIn(decoded(request.url))) return;
  throw new StatusError(
    400,
    "invalid-argument",
    "cannot use a token in a URL: addresses are logged and shared. Send it as 'Authorization: Bearer <token>', and replace the token if it was a real one",
  );
}

function decoded(url: string): string {
  try {
    return decodeURIComponent(url);
  } catch {
    return url;
  }
}

/** Browsers name the origin of every request that is not a plain read. */
function refuseOtherOrigin({ headers: { origin, host } }: FastifyRequest): void {
  if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
  throw new StatusError(
    403,
    "forbidden",
    "cannot do this: the request comes from another site's page. Use this server's own",
  );
}
