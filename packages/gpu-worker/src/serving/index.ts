/**
 * Serving a bundle inside another program: no queue, no Redis, no TensorFlow.js. What is imported from here decodes as a
 * scoring does and runs the bundle's own `model.onnx`.
 * @module
 */
import "@trommel/common/without-telemetry";

export { findArchived } from "../gallery/archived-images.js";
export { readListedImage } from "../gallery/listed-image.js";
export { loadClassifier } from "./bundle-classifier.js";
export { makeThumbnail } from "./thumbnail.js";
export type {
  BundleClassifier,
  Classification,
  ClassifiedImage,
  ClassifyOptions,
  LoadClassifierOptions,
  UnreadableImage,
} from "./bundle-classifier.js";
