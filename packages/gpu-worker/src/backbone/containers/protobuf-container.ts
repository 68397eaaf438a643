import { exportAdvice, type Container } from "./container.js";

/**
 * Other protobuf messages than ONNX's. Field 2 of an ONNX model is a text (producer_name), and here a message that begins with
 * its own field 1; ONNX has no message in field 1.
 */
export function protobufContainer(bytes: Uint8Array): Container | undefined {
  const field2 =
    bytes[0] === 0x08 && (bytes[1] ?? 0x80) < 0x80 && bytes[2] === 0x12 ? afterLength(bytes, 3) : undefined;
  if (field2 !== undefined && bytes[field2] === 0x0a) {
    return bytes[1] === 1
      ? {
          what: "TensorFlow's saved_model.pb, a part of a SavedModel folder",
          advice: exportAdvice.tensorflow,
        }
      : {
          what: "a Core ML model",
          advice: "Export the network that it was made from to ONNX and import that",
        };
  }
  const field1 = bytes[0] === 0x0a ? afterLength(bytes, 1) : undefined;
  if (field1 === undefined || bytes[field1] !== 0x0a) return undefined;
  const opAt = field1 + 2 + (bytes[field1 + 1] ?? 0);
  const isNode = bytes[opAt] === 0x12 && /^[A-Z]\w+$/.test(textAt(bytes, opAt + 1));
  return isNode
    ? {
        what: "a frozen TensorFlow graph (GraphDef)",
        advice:
          "Export it to ONNX (python -m tf2onnx.convert --graphdef <file> --inputs … --outputs … --output model.onnx) and import that",
      }
    : undefined;
}

/** The position after a protobuf length, or undefined if it has more than five bytes. */
function afterLength(bytes: Uint8Array, at: number): number | undefined {
  for (let end = at; end < at + 5; end++) if ((bytes[end] ?? 0x80) < 0x80) return end + 1;
  return undefined;
}

/** A text with a length of one byte. */
function textAt(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.subarray(at + 1, at + 1 + (bytes[at] ?? 0))).toString("latin1");
}
