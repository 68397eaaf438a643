import type { Container } from "./container.js";

const lookedAtBytes = 1 << 16;
const shownCharacters = 40;

/** A text by its first bytes. Each node of an ONNX graph has the control character 0x12, the tag of its outputs, and a text has none. */
export function textContainer(bytes: Uint8Array): Container | undefined {
  const text = startOfText(bytes.subarray(0, lookedAtBytes));
  if (text === undefined) return undefined;
  const [first = ""] = text.trim().split(/[\r\n]/, 1);
  const shown = first.length > shownCharacters ? `${first.slice(0, shownCharacters)}…` : first;
  return {
    what: shown === "" ? "white space alone" : `text, and no model: it begins with ${JSON.stringify(shown)}`,
    advice:
      "Name an ONNX file, the model.json of a layers model, or Keras weights (.h5); if this should be one, open it in an editor to see what was saved in its place",
  };
}

function startOfText(bytes: Uint8Array): string | undefined {
  const isUtf16 = bytes[0] === 0xff && bytes[1] === 0xfe;
  const decoder = new TextDecoder(isUtf16 ? "utf-16le" : "utf-8", { fatal: true });
  try {
    // As a stream, because the last character may be cut.
    const text = decoder.decode(bytes, { stream: true });
    return /(?![\t\n\v\f\r])\p{Cc}/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}
