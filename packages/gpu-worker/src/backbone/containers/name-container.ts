import { TrommelError } from "@trommel/common";
import { isSafetensors } from "../weights/keras-safetensors.js";
import { exportAdvice, startsWith, type Container } from "./container.js";
import { jsonContainer } from "./json-container.js";
import { jsonText, looksLikeJson } from "../layers/json-text.js";
import { protobufContainer } from "./protobuf-container.js";
import { signatureContainer } from "./signature-container.js";
import { textContainer } from "./text-container.js";
import { zipContainer } from "./zip-container.js";

/**
 * Files that people name as a model and that are something else, recognised by their first bytes. Whatever matches nothing is left
 * to the reader of ONNX, layers models or weights.
 */

/** @throws TrommelError `unsupported` that says what the file is and what to do */
export function refuseContainer(bytes: Uint8Array, url: string): void {
  const found = nameContainer(bytes);
  if (found === undefined) return;
  throw new TrommelError("unsupported", `cannot import ${url}: it is ${found.what}. ${found.advice}`, {
    context: { container: found.what },
  });
}

/**
 * For a file that is read because a model names it: it may hold any bytes, so only what no weights begin with is recognised.
 * @throws TrommelError `unsupported`
 */
export function refuseStandIn(bytes: Uint8Array, path: string, url: string): void {
  const found = standIn(bytes);
  if (found === undefined) return;
  throw new TrommelError(
    "unsupported",
    `cannot read ${path}, which ${url} names: it is ${found.what}. ${found.advice}`,
  );
}

export function nameContainer(bytes: Uint8Array): Container | undefined {
  if (bytes.byteLength === 0) return { what: "empty", advice: "Download or export the file again" };
  return (
    standIn(bytes) ??
    (startsWith(bytes, [0x50, 0x4b, 3, 4]) || startsWith(bytes, [0x50, 0x4b, 5, 6])
      ? zipContainer(bytes)
      : undefined) ??
    // The length that begins a safetensors file may look like the signature of gzip or TIFF.
    (isSafetensors(bytes) ? undefined : signatureContainer(bytes)) ??
    protobufContainer(bytes) ??
    (isTorchSafetensors(bytes)
      ? { what: "a safetensors file of PyTorch weights", advice: exportAdvice.torch }
      : undefined) ??
    (looksLikeJson(bytes) ? jsonContainer(bytes) : textContainer(bytes))
  );
}

/** What a download or a checkout leaves in a file's place. */
function standIn(bytes: Uint8Array): Container | undefined {
  const start = jsonText(bytes.subarray(0, 1024)).trimStart();
  if (/^version https:\/\/(git-lfs\.github\.com|hawser\.github\.com)\/spec\//.test(start)) {
    const oid = /^oid (\S+)/m.exec(start)?.[1] ?? "an oid that is missing";
    const size = /^size (\d+)/m.exec(start)?.[1];
    return {
      what: `a Git LFS pointer to a file of ${size ?? "unknown"} bytes (${oid}), and not that file`,
      advice: "Run 'git lfs pull' in the repository, or download the file itself",
    };
  }
  if (/^<(!doctype html|html\b|head\b|body\b|!--)/i.test(start)) {
    return {
      what: "a web page (HTML), as a download leaves it that needed a login or named a page about the file",
      advice:
        "Download the file itself: sign in first, and on GitHub and Hugging Face use the link 'raw' or 'download'",
    };
  }
  if (/^<\?xml\b|^<Error>|^<net\b/.test(start)) {
    const isNetwork = /<net\b/.test(start);
    return isNetwork
      ? { what: "the topology of an OpenVINO network", advice: "Import the ONNX file that it was made from" }
      : {
          what: "an XML document, as object stores answer with an error",
          advice: "Open it in an editor to see why, and download the file itself",
        };
  }
  return undefined;
}

/** Keras's names have slashes (`conv1/kernel`), PyTorch's have dots (`conv1.weight`). */
function isTorchSafetensors(bytes: Uint8Array): boolean {
  if (!isSafetensors(bytes)) return false;
  const headerBytes = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true));
  try {
    const header: unknown = JSON.parse(Buffer.from(bytes.subarray(8, 8 + headerBytes)).toString("utf8"));
    const names = Object.keys(header as object).filter((name) => name !== "__metadata__");
    return (
      names.length > 0 &&
      names.every((name) => !name.includes("/")) &&
      names.some((name) => name.includes("."))
    );
  } catch {
    return false;
  }
}
