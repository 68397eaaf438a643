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
