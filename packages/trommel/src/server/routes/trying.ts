import { TrommelError } from "@trommel/common";
import { resolveBundle } from "@trommel/coordinator/resolve";
import { z } from "zod";
import { checkedModel } from "../requests.js";
import { route, type AnyRoute } from "../route.js";

/** The largest picture that a model is tried on. */
const pictureBytesAtMost = 32 * 1024 * 1024;

const answer = z.looseObject({
  label: z.string().optional(),
  probability: z.number().optional(),
  top: z.array(z.strictObject({ label: z.string(), probability: z.number() })).optional(),
  novelty: z.number().optional(),
  error: z.strictObject({ reason: z.string(), message: z.string() }).optional(),
});

/** Tries a model on one picture. */
export const tryingRoutes: readonly AnyRoute[] = [
  route({
    ...{ method: "POST", path: "/runs/{id}/predict", tag: "try", bytes: { atMost: pictureBytesAtMost } },
    summary: "Classify one picture, the body, with the model of a finished run; nothing is kept",
    query: z.strictObject({ topK: z.coerce.number().int().min(1).max(1000).optional() }),
    body: z.instanceof(Buffer),
    answer,
    handle: async (context, { id, query, body }) => {
      const { trommel, caches, signal } = context;
      if (body.length === 0)
        throw new TrommelError(
          "invalid-argument",
          "cannot classify: the body is empty. Send a picture's bytes",
        );
      const { location } = await resolveBundle(trommel.store, await checkedModel(context, id));
      const classifier = await caches.classifier(location);
      return classifier.classifyOne(body, { ...query, signal });
    },
  }),
];
