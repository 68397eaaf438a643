import { messageOf } from "@trommel/common";
import { exportAdvice, type Container } from "./container.js";
import { jsonText } from "../layers/json-text.js";

/** A model.json may have this many bytes; a larger file is refused by its size. */
const parsedAtMost = 64 * 2 ** 20;

type Keys = Readonly<Record<string, unknown>>;

const kinds: readonly (Container & { readonly has: (json: Keys) => boolean })[] = [
  {
    has: (json) => "weight_map" in json,
    what: "the index of a network's weights in several safetensors files",
    advice: exportAdvice.torch,
  },
  {
    has: (json) => "class_name" in json && "config" in json,
    what: "the configuration of a Keras network (model.to_json()), without its weights",
    advice: exportAdvice.keras,
  },
  {
    has: (json) => "model_type" in json || "architectures" in json || "pretrained_cfg" in json,
    what: "the config.json of a model repository, which describes a network and does not hold it",
    advice: "Name the repository's ONNX file, or download it with 'trommel backbone pull hf:<org>/<name>'",
  },
  {
    has: (json) => "image_processor_type" in json || "image_mean" in json,
    what: "the preprocessor_config.json of a model repository",
    advice: "Name the repository's ONNX file, or download it with 'trommel backbone pull hf:<org>/<name>'",
  },
  {
    has: (json) => "error" in json || "message" in json,
    what: "a server's answer in JSON, and probably an error",
    advice: "Open it in an editor, sign in if it asks for that, and download the file itself",
  },
];

/**
 * @param bytes that begin as JSON does
 * @returns undefined for a layers or graph model of TensorFlow.js, a broken one included: the reader names its faults
 */
export function jsonContainer(bytes: Uint8Array): Container | undefined {
  if (bytes.byteLength > parsedAtMost) return undefined;
  const text = jsonText(bytes);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    if (/"(?:modelTopology|weightsManifest)"/.test(text)) return undefined;
    return {
      what: `text that begins like JSON and is not (${messageOf(thrown).replace(/\s+/gu, " ")})`,
      advice:
        "Name the model.json of a layers model, or an ONNX file; if this is one, download it again in binary form",
    };
  }
  if (Array.isArray(json)) {
    return {
      what: "a JSON list, and no model",
      advice: "Name the model.json of a layers model, or an ONNX file",
    };
  }
  const keys = json as Keys;
  if ("modelTopology" in keys || "weightsManifest" in keys) return undefined;
  const known = kinds.find(({ has }) => has(keys));
  if (known !== undefined) return known;
  const names = Object.keys(keys).slice(0, 5);
  return {
    what: `JSON that is no model: it has ${names.length === 0 ? "no keys" : `the keys ${names.join(", ")}`}, and a layers model has modelTopology and weightsManifest`,
    advice: "Name the model.json of a layers model, or an ONNX file",
  };
}
