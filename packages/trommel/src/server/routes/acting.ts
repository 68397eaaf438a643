import { failureReason } from "@trommel/common";
import { runId } from "@trommel/common/artefacts";
import { z } from "zod";
import { Run, Scoring } from "../../run.js";
import { StatusError } from "../problem.js";
import {
  checkedManifest,
  checkedModel,
  checkedRecipe,
  checkedScoring,
  scoringRequest,
  sortingRequest,
  steering,
  trainingRequest,
} from "../requests.js";
import { route, type AnyRoute, type ServerContext } from "../route.js";
import type { Work } from "../../api/work.js";

const accepted = z.strictObject({
  id: z.string(),
  kind: z.enum(["run", "scoring", "sorting"]),
  begun: z.string().meta({
    description: "`queued`; `joined` if another process works on it; `complete` if it was finished before",
  }),
  path: z.string().meta({ description: "The path that shows it" }),
});

const submits = { method: "POST", answer: accepted, status: 202, idempotent: true } as const;

/** Routes that submit work and act on it. */
export const actingRoutes: readonly AnyRoute[] = [
  route({
    ...submits,
    ...{ path: "/trainings", tag: "submit", body: trainingRequest },
    summary: "Train a classifier; the same images, recipe and id are the same run",
    handle: async (context, { body }) => {
      const { trommel, roots, detach } = context;
      const { source, recipe, manifest, output, ...others } = body;
      const run = await trommel.train(
        await roots.require(source, "source"),
        await checkedRecipe(context, recipe),
        {
          ...{ ...others, detach },
          manifest: manifest && (await checkedManifest(context, manifest)),
          output: output === undefined ? undefined : await roots.require(output, "output"),
        },
      );
      return acceptedOf(context, run);
    },
  }),
  route({
    ...submits,
    ...{ path: "/scorings", tag: "submit", body: scoringRequest },
    summary: "Score images; the same call again, once it is complete, scores what is new",
    handle: async (context, { body }) => {
      const { trommel, roots, detach } = context;
      const { source, model, output, manifest, rescore, ...others } = body;
      const place = source === undefined ? undefined : await roots.require(source, "source");
      const scoring = await trommel.score(place, {
        ...{ ...others, detach },
        model: await checkedModel(context, model),
        output: await roots.require(output, "output"),
        manifest: manifest && (await checkedManifest(context, manifest)),
        rescore: rescore === undefined ? undefined : await checkedScoring(context, rescore),
      });
      return acceptedOf(context, scoring);
    },
  }),
  route({
    ...submits,
    ...{ path: "/sortings", tag: "submit", body: sortingRequest },
    summary: "Put the images of a finished scoring into a folder for each label",
    handle: async (context, { body: { scoring: id, into, ...others } }) => {
      const { trommel, roots, detach } = context;
      const scoring = await trommel.run(id);
      if (!(scoring instanceof Scoring) || scoring.subject.kind !== "scoring")
        throw new StatusError(409, "conflict", `cannot sort ${id}: it is no scoring. Give the id of one`);
      // A move removes images from their source, which the command line may have named.
      await roots.require(scoring.subject.config.source, `the source of ${id}`);
      const place = await roots.require(into, "into");
      return acceptedOf(context, await scoring.startSort({ ...others, into: place, detach }));
    },
  }),
  route({
    ...{ method: "POST", path: "/runs/{id}/cancel", tag: "runs", idempotent: true },
    summary: "Stop it; what is done is kept",
    answer: z.strictObject({ id: z.string(), phase: z.literal("cancelled") }),
    handle: async ({ trommel, poller }, { id }) => {
      await (await trommel.run(id)).cancel();
      poller.expectChange();
      return { id, phase: "cancelled" };
    },
  }),
  route({
    ...{ method: "POST", path: "/runs/{id}/pause", tag: "runs", idempotent: true },
    summary: "Stop it until it is unpaused; what is done is kept",
    answer: z.strictObject({ id: z.string(), phase: z.literal("paused") }),
    handle: async ({ trommel, poller }, { id }) => {
      await (await trommel.run(id)).pause();
      poller.expectChange();
      return { id, phase: "paused" };
    },
  }),
  route({
    ...submits,
    ...{ path: "/runs/{id}/unpause", tag: "runs", body: steering.optional() },
    summary: "Continue it after a pause",
    handle: async (context, { id, body }) => {
      const { trommel, detach } = context;
      return acceptedOf(context, await (await trommel.run(id)).unpause({ ...body, detach }));
    },
  }),
  route({
    ...{ method: "POST", path: "/runs/{id}/steer", tag: "runs", body: steering, idempotent: true },
    summary: "Change its share of the workers, or how many of its jobs are under way at once",
    answer: z.strictObject({ id: z.string() }),
    handle: async ({ trommel }, { id, body }) => {
      await (await trommel.run(id)).steer(body);
      return { id };
    },
  }),
  route({
    ...submits,
    ...{ path: "/runs/{id}/resume", tag: "runs" },
    summary: "Continue it from what the store holds",
    body: z.strictObject({ maxFailures: z.union([z.int().nonnegative(), z.string()]).optional() }).optional(),
    handle: async (context, { id, body }) => {
      const { trommel, detach } = context;
      return acceptedOf(context, await (await trommel.run(id)).resume({ ...body, detach }));
    },
  }),
  route({
    ...submits,
    ...{ path: "/runs/{id}/retry", tag: "runs" },
    summary: "Try only the failed images again: of a scoring in place, of a run as a new run",
    body: z
      .strictObject({
        reasons: z.array(failureReason).min(1).optional(),
        id: runId.optional().meta({ description: "Id of the new run" }),
        output: z.string().optional(),
      })
      .optional(),
    answer: accepted.extend({ id: z.string().nullable(), of: z.string() }),
    handle: async (context, { id, body = {} }) => {
      const { trommel, roots, detach } = context;
      const work = await trommel.run(id);
      const output = body.output === undefined ? undefined : await roots.require(body.output, "output");
      if (!(work instanceof Run) && !(work instanceof Scoring))
        throw new StatusError(409, "conflict", `cannot retry ${id}: it is a sorting. Submit it again`);
      const { of, retry } =
        work instanceof Run
          ? await work.retry({ ...body, output, detach })
          : await work.retry({ reasons: body.reasons, detach });
      if (retry !== undefined) return { ...acceptedOf(context, retry), of };
      return { of, id: null, kind: work.kind, begun: "complete", path: `/api/v1/runs/${of}` };
    },
  }),
];

function acceptedOf({ poller }: ServerContext, work: Work) {
  poller.expectChange();
  const { id, kind, begun = "queued" } = work;
  return { id, kind, begun, path: `/api/v1/runs/${id}` };
}
