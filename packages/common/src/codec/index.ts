export { sha256Hex, sha256Latin1 } from "./canonical-json.js";
export { fromFloat16, toFloat16 } from "./float16.js";
export { jsonBytes, jsonFile, putJson, putJsonOnce } from "./json-artefact.js";
export { findMarker, isDamage, markerKeyOf, standsOtherwise } from "./marker.js";
export type { Marker } from "./marker.js";
export { decodeSafetensors, encodeSafetensors } from "./safetensors.js";
export { parseSealedAs, sealedJson } from "./sealed-json.js";
export { findCommitted, readInput, readInputMarker, removeArtefact } from "./stage-input.js";
export type { Tensor, TensorDtype } from "./tensor-dtype.js";
