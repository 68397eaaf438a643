import { z } from "zod";
import { flip, type Flip } from "./views-recipe.js";

/** The views that a model averages over. */
export const servingViews = z.union([
  z.enum(["identity", "mirrored"]),
  z
    .array(z.union([z.literal("identity"), flip]))
    .min(1)
    .refine(([first]) => first === "identity", "the first is the image itself: identity")
    .refine((views) => new Set(views).size === views.length, "each view is given once"),
]);
export interface ServingRecipe {
  readonly views: z.infer<typeof servingViews>;
}

/** The flips whose logits a model averages with those of the image itself. */
export function servedFlips({ serving: { views } }: { readonly serving: ServingRecipe }): readonly Flip[] {
  if (views === "identity") return [];
  if (views === "mirrored") return ["horizontal"];
  return views.filter((view) => view !== "identity");
}
