import type { FastifyReply } from "fastify";
import { z } from "zod";
import { WatcherStream } from "../answers/watcher-stream.js";
import { StatusError } from "../problem.js";
import type { PolledEvent } from "../overview/poller.js";
import { route, type AnyRoute, type ServerContext } from "../route.js";

const watchersAtMost = 2000;
const heartbeatMs = 15_000;

/** The stream of events. */
export const eventRoutes: readonly AnyRoute[] = [
  route({
    ...{ method: "GET", path: "/events", tag: "events", isStream: true, media: "text/event-stream" },
    summary:
      "Server-sent events: `snapshot` first, then `run`, `removed`, `cluster`, `fault` and `recovered` as things change; another `snapshot` to a reader that fell behind",
    query: z.strictObject({
      run: z.string().optional().meta({ description: "Only events of this run, and no others but faults" }),
    }),
    handle: async ({ poller, signal }, { query, reply }) => {
      if (poller.watchers >= watchersAtMost) {
        void reply.header("retry-after", "30");
        throw new StatusError(
          503,
          "exhausted",
          `cannot watch: ${watchersAtMost} watch already, which is the most. Try again later, or ask GET /api/v1/runs now and then`,
        );
      }
      if (query.run !== undefined) await requireKnown(query.run, poller);
      const snapshot = (): Promise<string> => snapshotOf(poller, query.run);
      const first = await snapshot();
      // It has left while the store was read, and its end comes no second time.
      if (reply.raw.destroyed) return reply.hijack();
      const stream = new WatcherStream(openStream(reply), { snapshot });
      stream.tell(first);
      const leave = poller.watch((event) => {
        if (isAbout(event, query.run)) stream.tell(formatOnce(event));
      });
      const heartbeat = setInterval(() => stream.beat(), heartbeatMs);
      const end = (): void => {
        leave();
        clearInterval(heartbeat);
        reply.raw.destroy();
      };
      signal.addEventListener("abort", end, { once: true });
      reply.raw.once("close", () => {
        signal.removeEventListener("abort", end);
        end();
      });
      return reply;
    },
  }),
];

async function requireKnown(
  id: string,
  poller: { list(): Promise<readonly { readonly id: string }[]> },
): Promise<void> {
  if ((await poller.list()).some((run) => run.id === id)) return;
  throw new StatusError(404, "not-found", `cannot watch ${JSON.stringify(id)}: the store has no such run`);
}

async function snapshotOf(poller: ServerContext["poller"], run: string | undefined): Promise<string> {
  const snapshot = await poller.snapshot();
  const runs = snapshot.runs.filter(({ id }) => run === undefined || id === run);
  return format({ event: "snapshot", data: { ...snapshot, runs } });
}

function openStream(reply: FastifyReply): FastifyReply["raw"] {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
  });
  return raw;
}

function isAbout({ event, data }: PolledEvent, run: string | undefined): boolean {
  if (run === undefined || event === "fault" || event === "recovered") return true;
  return (event === "run" || event === "removed") && data.id === run;
}

function format({ event, data }: { readonly event: string; readonly data: unknown }): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

const formatted = new WeakMap<PolledEvent, string>();

/** However many watch, an event becomes text once. */
function formatOnce(event: PolledEvent): string {
  let text = formatted.get(event);
  if (text === undefined) {
    text = format(event);
    formatted.set(event, text);
  }
  return text;
}
