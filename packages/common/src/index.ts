export { TrommelError, errorCodes, messageOf, toTrommelError } from "./errors.js";
export type { ErrorCode, ErrorContext, TrommelErrorOptions } from "./errors.js";
export type { GetOptions, ListOptions, ObjectInfo, ObjectStore, PutOptions } from "./store/object-store.js";
export {
  backboneId,
  backboneName,
  backboneSpec,
  namedNormalizations,
  normalization,
  sha256Hex,
} from "./artefacts/backbone-spec.js";
export type { BackboneSpec, Normalization } from "./artefacts/backbone-spec.js";
export type { Gram, HeadWeights, NamedTensor, Projection } from "./artefacts/linear-algebra.js";
export { epochRecord, evaluation, metrics } from "./artefacts/metrics.js";
export type { EpochRecord, Evaluation, Metrics } from "./artefacts/metrics.js";
export { decodeRecipe, headRecipe, recipe, svdRecipe, trainingRecipe, viewsRecipe } from "./recipe/recipe.js";
export type {
  DecodeRecipe,
  HeadRecipe,
  Recipe,
  RecipeInput,
  SvdRecipe,
  TrainingRecipe,
  ViewsRecipe,
} from "./recipe/recipe.js";
export { SeededRandom, seedFrom } from "./random/seeded-random.js";
export { parseAs, parseJsonAs } from "./parse.js";
