import { normalizationNamed, type Normalization } from "../artefacts/backbones/backbone-spec.js";
import type { Recipe } from "./recipe.js";

/** A recipe's normalisation as figures, where the recipe alone tells them. */
export function resolveNormalization(asked: Recipe["normalization"]): Normalization | "backbone" | "dataset" {
  if (asked === "backbone" || asked === "dataset" || typeof asked === "object") return asked;
  return normalizationNamed(asked);
}
