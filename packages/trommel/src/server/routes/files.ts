import { Readable } from "node:stream";
import { bundleFiles, openStore, runKeys, scoreFormat, TrommelError } from "@trommel/common";
import { z } from "zod";
import { streamObject } from "../answers/stream-object.js";
import { thumbnailOf } from "../answers/thumbnail.js";
import { checkedScoring } from "../requests.js";
import { route, type AnyRoute, type Asked, type ServerContext } from "../route.js";

const media: Readonly<Record<string, string>> = {
  json: "application/json",
  jsonl: "application/jsonl",
  csv: "text/csv; charset=utf-8",
  html: "text/html; charset=utf-8",
  png: "image/png",
};

function mediaOf(name: string): string {
  return media[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
}

/** The report has scripts of its own: in an origin of its own they reach nothing of this server. */
const reportPolicy =
  "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

const fileNames = Object.values(bundleFiles);
const textFormat = scoreFormat.exclude(["parquet"]);

/** Routes that answer with something else than JSON. */
export const fileRoutes: readonly AnyRoute[] = [
  route({
    ...{
      method: "GET",
      path: "/runs/{id}/scores",
      tag: "scores",
      isStream: true,
      media: "application/jsonl",
    },
    summary: "The current scores of a scoring as one stream of text",
    query: z.strictObject({ format: textFormat.default("jsonl") }),
    handle: async (context, { id: asked, query, reply }) => {
      const { trommel, signal } = context;
      const id = await checkedScoring(context, asked);
      // What can be refused is refused before the first byte.
      await trommel.scoreFiles(id, query);
      const text = trommel.readScores(id, { ...query, signal });
      return reply.type(media[query.format] ?? "text/plain; charset=utf-8").send(Readable.from(text));
    },
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}/score-files", tag: "scores" },
    summary: "The current files of a scoring in one format, such as Parquet, and where each can be read",
    query: z.strictObject({ format: scoreFormat.default("jsonl") }),
    answer: z.strictObject({
      output: z.string(),
      files: z.array(z.strictObject({ key: z.string(), path: z.string() })),
    }),
    handle: async (context, { id: asked, query: { format } }) => {
      const id = await checkedScoring(context, asked);
      const { output, keys } = await context.trommel.scoreFiles(id, { format });
      const path = (place: number): string => `/api/v1/runs/${id}/score-file?format=${format}&place=${place}`;
      return { output, files: keys.map((key, place) => ({ key, path: path(place) })) };
    },
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}/score-file", tag: "scores", isStream: true },
    ...{ media: "application/octet-stream" },
    summary: "One of the current files of a scoring, by its place among them",
    query: z.strictObject({
      format: scoreFormat.default("jsonl"),
      place: z.coerce.number().int().min(0),
    }),
    handle: async (context, { id: asked, query: { format, place }, reply }) => {
      const { trommel, signal } = context;
      const id = await checkedScoring(context, asked);
      const { output, keys } = await trommel.scoreFiles(id, { format });
      const key = keys[place];
      if (key === undefined)
        throw new TrommelError(
          "not-found",
          `cannot read file ${place} of ${id}: it has ${keys.length}, counted from 0`,
        );
      const store = openStore(output);
      return streamObject(reply, { store, key, media: mediaOf(key), signal, close: () => store.close() });
    },
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}/report", tag: "runs", media: "text/html", isStream: true },
    summary: "The report of a finished run",
    handle: async (context, asked) => {
      void asked.reply.header("content-security-policy", reportPolicy);
      return sendFile(context, asked, bundleFiles.report);
    },
  }),
  route({
    ...{
      method: "GET",
      path: "/runs/{id}/file",
      tag: "runs",
      media: "application/octet-stream",
      isStream: true,
    },
    summary: "A file of a finished run's bundle, such as model.onnx, as a download",
    query: z.strictObject({ name: z.enum(fileNames) }),
    handle: async (context, asked) => {
      const { name } = asked.query;
      void asked.reply.header("content-disposition", `attachment; filename="${name}"`);
      return sendFile(context, asked, name);
    },
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}/thumbnail", tag: "runs", media: "image/webp" },
    summary: "A small picture of an image that a run or scoring lists, within an archive, too",
    query: z.strictObject({
      key: z.string().min(1).max(4096),
      shard: z.coerce.number().int().min(0).optional().meta({
        description:
          "The `shard` that failed images and predictions name. Without it, only failed images and the worst mistakes are found",
      }),
    }),
    handle: async (context, { id, query, reply }) => {
      const picture = await thumbnailOf(context, id, query);
      return reply
        .header("cache-control", "private, max-age=3600")
        .type("image/webp")
        .send(Buffer.from(picture));
    },
  }),
];

async function sendFile(
  { trommel, signal }: ServerContext,
  { id, reply }: Asked<unknown, unknown>,
  name: string,
) {
  const work = await trommel.run(id);
  if (work.kind !== "run")
    throw new TrommelError(
      "not-found",
      `cannot read ${name} of ${id}: it is a ${work.kind}. A training has it`,
    );
  const key = `${runKeys(id).bundle}/${name}`;
  return streamObject(reply, { store: trommel.store, key, media: mediaOf(name), signal });
}
