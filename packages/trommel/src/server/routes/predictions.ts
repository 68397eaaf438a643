import { runKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { StoredPredictions } from "@trommel/common/artefacts";
import { z } from "zod";
import type { Work } from "../../api/work.js";
import { ListedEntries } from "../answers/listed-entries.js";
import { route, type AnyRoute } from "../route.js";

const predicted = z.strictObject({
  key: z.string(),
  shard: z.number().meta({ description: "The shard that lists it, which `thumbnail` takes" }),
  label: z.string(),
  predicted: z.string(),
  probability: z.number().meta({ description: "The predicted class's" }),
});

const cellPage = z
  .strictObject({
    total: z.number().meta({ description: "Images of the cell, as the confusion matrix counts them" }),
    images: z.array(predicted),
    next: z.number().nullable().meta({ description: "The `after` of the next page; null on the last one" }),
  })
  .meta({
    description:
      "Images of a cell of the confusion matrix, those with the highest probability of the predicted class first, then in order of the listing",
  });

/** A request reads so many shard files at most. */
const imagesAtMost = 200;

/** The images behind the confusion matrix. */
export const predictionRoutes: readonly AnyRoute[] = [
  route({
    ...{ method: "GET", path: "/runs/{id}/predictions", tag: "runs" },
    summary: "The images of a cell of the confusion matrix of a run with head auto, in pages",
    query: z.strictObject({
      true: z.string().meta({ description: "Label of the true class" }),
      predicted: z.string().meta({ description: "Label of the predicted class" }),
      limit: z.coerce.number().int().min(1).max(imagesAtMost).default(50),
      after: z.coerce.number().int().min(0).default(0).meta({ description: "How many to pass over" }),
    }),
    answer: cellPage,
    handle: async ({ trommel }, { id, query }) => {
      const work = await trommel.run(id);
      const stored = await requirePredictions(trommel.store, work);
      const cell = {
        label: placeOf(query.true, "true", stored.labels),
        predicted: placeOf(query.predicted, "predicted", stored.labels),
      };
      const { total, images } = await stored.page(cell, query);
      const listed = await ListedEntries.open(trommel.store, work.subject);
      const keys = await listed.keysAt(images);
      const end = query.after + images.length;
      return {
        total,
        images: images.map(({ shard, probability }, row) => ({
          ...{ key: keys[row] ?? "", shard, label: query.true, predicted: query.predicted, probability },
        })),
        next: end < total ? end : null,
      };
    },
  }),
];

/** @throws TrommelError `invalid-argument` for what is no training, `not-found` where no predictions were kept */
async function requirePredictions(store: ObjectStore, work: Work): Promise<StoredPredictions> {
  const { id, kind } = work;
  if (kind !== "run")
    throw new TrommelError(
      "invalid-argument",
      `cannot show the predictions of ${id}: it is a ${kind}, and only a training has a confusion matrix`,
    );
  const found = await StoredPredictions.find(store, runKeys(id).predictions);
  if (found !== undefined) return found;
  throw new TrommelError(
    "not-found",
    `cannot show the predictions of ${id}: it has not chosen its head yet, has a head other than auto, or an earlier version trained it. GET /api/v1/runs/${id}/metrics has the worst mistakes of a finished run`,
  );
}

const labelsNamed = 20;

function placeOf(label: string, field: string, labels: readonly string[]): number {
  const place = labels.indexOf(label);
  if (place !== -1) return place;
  const named = labels.slice(0, labelsNamed).map((one) => JSON.stringify(one));
  const others = labels.length > labelsNamed ? ` and ${labels.length - labelsNamed} more` : "";
  throw new TrommelError(
    "invalid-argument",
    `cannot show the predictions: ${field} is ${JSON.stringify(label)}, and the labels are ${named.join(", ")}${others}. Give one of them`,
  );
}
