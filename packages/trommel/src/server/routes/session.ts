import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { sessionCookie } from "../access/guard.js";
import { StatusError } from "../problem.js";
import { route, type AnyRoute } from "../route.js";

const cookie = { path: "/", httpOnly: true, sameSite: "strict", maxAge: 12 * 3600 } as const;
/** A guess takes this long at least. */
const wrongMs = 300;

const session = z.strictObject({
  loggedIn: z.boolean(),
  hasToken: z.boolean().meta({ description: "Whether the server has a token at all: actions need one" }),
});

/** Logging in, for the page: a cookie that no script can read takes the place of the token. */
export const sessionRoutes: readonly AnyRoute[] = [
  route({
    ...{ method: "GET", path: "/session", tag: "session", need: "open", answer: session },
    summary: "Whether this browser has logged in",
    handle: ({ access }, { request }) => {
      const id = request.cookies[sessionCookie];
      return Promise.resolve({ loggedIn: id !== undefined && access.isOpen(id), hasToken: access.hasToken });
    },
  }),
  route({
    ...{ method: "POST", path: "/session", tag: "session", need: "open", answer: session },
    summary: "Log in with the token",
    body: z.strictObject({ token: z.string().max(1000) }),
    handle: async ({ access, signal }, { body: { token }, reply }) => {
      if (!access.isToken(token)) {
        await sleep(wrongMs, undefined, { signal });
        throw new StatusError(401, "forbidden", "cannot log in: the token is not this server's. Check it");
      }
      void reply.setCookie(sessionCookie, access.open(), cookie);
      return { loggedIn: true, hasToken: true };
    },
  }),
  route({
    ...{ method: "DELETE", path: "/session", tag: "session", need: "open", answer: session },
    summary: "Log out",
    handle: ({ access }, { request, reply }) => {
      const id = request.cookies[sessionCookie];
      if (id !== undefined) access.close(id);
      void reply.clearCookie(sessionCookie, { path: "/" });
      return Promise.resolve({ loggedIn: false, hasToken: access.hasToken });
    },
  }),
];
