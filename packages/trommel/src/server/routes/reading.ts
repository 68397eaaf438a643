import { bundleFiles, failureReason, parseJsonAs, runKeys, TrommelError } from "@trommel/common";
import { errorLine, runId } from "@trommel/common/artefacts";
import { readBounds } from "@trommel/common/store";
import { z } from "zod";
import { Rates } from "../../api/following/progress.js";
import { storeSizes } from "../answers/store-sizes.js";
import { brief, briefOf, kinds, phases } from "../overview/brief.js";
import { cluster } from "../overview/cluster.js";
import { route, type AnyRoute, type ServerContext } from "../route.js";
import { version } from "../../version.js";

const limit = (most: number, usual: number) => z.coerce.number().int().min(1).max(most).default(usual);

const fault = z.strictObject({ of: z.enum(["redis", "store"]), message: z.string() });

const listed = z.strictObject({
  runs: z.array(brief),
  next: z.string().nullable().meta({ description: "The `after` of the next page; null on the last one" }),
  total: z.number().meta({ description: "How many pass the filters" }),
  fault: fault.nullable().meta({ description: "What does not answer; the list is older then" }),
});

const detail = brief.extend({
  result: z.looseObject({}).nullable().meta({ description: "As `trommel status --json` gives it" }),
  reportPath: z.string().nullable(),
  source: z.string().nullable(),
  output: z.string().nullable(),
});

const failedPage = z.strictObject({
  complete: z.boolean(),
  sums: z.looseObject({ failed: z.number(), failedByReason: z.record(z.string(), z.number()) }),
  images: z.array(errorLine),
  next: z.number().nullable().meta({ description: "The `after` of the next page; null on the last one" }),
});

/** Routes that look at runs, the cluster and the store. */
export const readingRoutes: readonly AnyRoute[] = [
  route({
    ...{ method: "GET", path: "/runs", tag: "runs" },
    summary: "Runs, scorings and sortings, in order of their ids",
    query: z.strictObject({
      kind: z.enum(kinds).optional(),
      phase: z.enum(phases).optional(),
      limit: limit(500, 100),
      after: runId.optional().meta({
        description:
          "Only ids that come after this one in the order of their bytes. It need not exist: a run that is removed between two pages hides none of the others",
      }),
    }),
    answer: listed,
    handle: async ({ poller }, { query }) => {
      const all = (await poller.list()).filter(
        ({ kind, phase }) =>
          (query.kind === undefined || kind === query.kind) &&
          (query.phase === undefined || phase === query.phase),
      );
      const { after = "" } = query;
      const rest = all.filter(({ id }) => id > after);
      const runs = rest.slice(0, query.limit);
      const next = rest.length > runs.length ? (runs.at(-1)?.id ?? null) : null;
      return { runs, next, total: all.length, fault: (await poller.snapshot()).fault };
    },
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}", tag: "runs" },
    summary: "One run, scoring or sorting with its result",
    answer: detail,
    handle: async (context, { id }) => showRun(context, id),
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}/failed", tag: "runs" },
    summary: "Images that failed, in pages",
    query: z.strictObject({
      reason: failureReason.optional(),
      limit: limit(1000, 100),
      after: z.coerce.number().int().min(0).default(0).meta({ description: "How many to pass over" }),
    }),
    answer: failedPage,
    handle: async ({ trommel, caches }, { id, query }) => {
      const { complete, sums, images, next } = await caches.failures.page(await trommel.run(id), query);
      return { complete, sums, images, next };
    },
  }),
  route({
    ...{ method: "GET", path: "/runs/{id}/metrics", tag: "runs" },
    summary: "The figures of a finished run, as its bundle has them: confusion, intervals, worst mistakes",
    answer: z.looseObject({}),
    handle: async ({ trommel }, { id }) => {
      const work = await trommel.run(id);
      if (work.kind !== "run")
        throw new TrommelError(
          "invalid-argument",
          `cannot show the figures of ${id}: it is a ${work.kind}, and only a training has them`,
        );
      const key = `${runKeys(id).bundle}/${bundleFiles.metrics}`;
      return parseJsonAs(z.looseObject({}), await trommel.store.get(key, readBounds.document), key);
    },
  }),
  route({
    ...{ method: "GET", path: "/cluster", tag: "cluster" },
    summary: "Queues, how many workers serve each, and what is done a second",
    answer: z.strictObject({ version: z.string(), cluster, fault: fault.nullable() }),
    handle: async ({ poller }) => {
      const snapshot = await poller.snapshot();
      return { version, cluster: snapshot.cluster, fault: snapshot.fault };
    },
  }),
  route({
    ...{ method: "GET", path: "/store", tag: "store" },
    summary: "What the store holds, counted at most once in ten minutes",
    answer: storeSizes,
    handle: async ({ trommel, caches, signal }) => caches.storeSizes.of(trommel.store, signal),
  }),
  route({
    ...{ method: "GET", path: "/recipes", tag: "recipes" },
    summary: "The built-in recipes",
    answer: z.strictObject({
      recipes: z.array(
        z.strictObject({ name: z.string(), description: z.string(), backbones: z.array(z.unknown()) }),
      ),
    }),
    handle: async ({ trommel }) => ({ recipes: await trommel.recipes.list() }),
  }),
];

/** What is worked on has the rates of the poller, which looks at it again and again. */
async function showRun({ trommel, poller }: ServerContext, id: string): Promise<unknown> {
  const work = await trommel.run(id);
  const status = await work.status();
  const { config } = work.subject;
  const live = status.phase === "running" ? await poller.list() : [];
  const known = live.find((run) => run.id === id && run.phase === "running");
  const rates = new Rates();
  const stages = status.stages.filter(({ total }) => total > 0).map((stage) => rates.of(stage));
  const isReported = work.kind === "run" && status.result !== undefined;
  const source = "dataset" in config ? config.dataset : "source" in config ? config.source : null;
  const output = "output" in config ? config.output : "into" in config ? config.into : config.export;
  return {
    ...(known ?? briefOf(status, stages)),
    result: status.result ?? null,
    reportPath: isReported ? `/api/v1/runs/${id}/report` : null,
    ...{ source, output },
  };
}
