import { exportAdvice, startsWith, type Container } from "./container.js";

const ascii = (text: string): readonly number[] => [...Buffer.from(text, "latin1")];

const archiveAdvice = "Unpack it and import the ONNX file or the model.json in it";
const flatAdvice = "Export the network that it was made from to ONNX and import that";

const modelAdvice = "Name an ONNX file, the model.json of a layers model, or Keras weights (.h5)";
const image = (format: string): Container => ({
  what: `an image (${format})`,
  advice: `${modelAdvice}. Images are for 'trommel train' and 'trommel score'`,
});

const signatures: readonly (Container & { readonly at: number; readonly bytes: readonly number[] })[] = [
  {
    at: 0,
    bytes: [0x1f, 0x8b],
    what: "compressed with gzip",
    advice: "Unpack it (gunzip, or tar -xzf) and import the ONNX file or the model.json in it",
  },
  { at: 0, bytes: [0x28, 0xb5, 0x2f, 0xfd], what: "compressed with Zstandard", advice: archiveAdvice },
  { at: 0, bytes: [0xfd, ...ascii("7zXZ"), 0], what: "compressed with xz", advice: archiveAdvice },
  { at: 0, bytes: ascii("BZh"), what: "compressed with bzip2", advice: archiveAdvice },
  { at: 0, bytes: [...ascii("7z"), 0xbc, 0xaf, 0x27, 0x1c], what: "a 7z archive", advice: archiveAdvice },
  { at: 0, bytes: ascii("Rar!"), what: "a RAR archive", advice: archiveAdvice },
  {
    at: 257,
    bytes: ascii("ustar"),
    what: "a tar archive",
    advice: "Unpack it (tar -xf) and import the ONNX file or the model.json in it",
  },
  {
    at: 4,
    bytes: ascii("TFL3"),
    what: "a TensorFlow Lite (LiteRT) model",
    advice:
      "Export the network that it was made from to ONNX; python -m tf2onnx.convert --tflite <file> --output model.onnx converts many",
  },
  {
    at: 4,
    bytes: ascii("ORTM"),
    what: "a model in the format of ONNX Runtime (.ort)",
    advice: "Import the ONNX file that it was made from",
  },
  { at: 0, bytes: ascii("GGUF"), what: "a GGUF file", advice: flatAdvice },
  { at: 0, bytes: [0xff, 0xd8, 0xff], ...image("JPEG") },
  { at: 0, bytes: [0x89, ...ascii("PNG\r\n")], ...image("PNG") },
  { at: 0, bytes: ascii("GIF8"), ...image("GIF") },
  { at: 8, bytes: ascii("WEBP"), ...image("WebP") },
  { at: 0, bytes: [...ascii("II"), 0x2a, 0], ...image("TIFF") },
  { at: 0, bytes: [...ascii("MM"), 0, 0x2a], ...image("TIFF") },
  { at: 4, bytes: ascii("ftypavif"), ...image("AVIF") },
  { at: 4, bytes: ascii("ftyp"), what: "a video or an image (MP4, MOV, HEIC)", advice: modelAdvice },
  { at: 0, bytes: ascii("%PDF-"), what: "a PDF", advice: modelAdvice },
  { at: 0, bytes: ascii("PAR1"), what: "a Parquet file", advice: modelAdvice },
  { at: 0, bytes: [0x93, ...ascii("NUMPY")], what: "a NumPy array (.npy)", advice: flatAdvice },
];

/** By the first bytes alone. */
export function signatureContainer(bytes: Uint8Array): Container | undefined {
  const known = signatures.find((one) => startsWith(bytes.subarray(one.at), one.bytes));
  if (known !== undefined) return known;
  // A text may begin with these letters; in a bitmap's header the four bytes after its size are reserved.
  if (startsWith(bytes, ascii("BM")) && startsWith(bytes.subarray(6), [0, 0, 0, 0])) return image("BMP");
  // Pickle's opcode PROTO with its version; no ONNX field has this tag.
  if (bytes[0] !== 0x80 || bytes[1] === undefined || bytes[1] < 2 || bytes[1] > 5) return undefined;
  // torch/serialization.py: MAGIC_NUMBER, as pickle's LONG1 of ten bytes.
  const torch = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const isTorch = startsWith(bytes.subarray(2), torch);
  return { what: isTorch ? "a PyTorch file (a pickle)" : "a Python pickle", advice: exportAdvice.torch };
}
