import { partsOfKey, looksLikeImage } from "../../labels/labelled-images.js";
import type { Member } from "./member.js";

/**
 * Files of WebDataset: those that follow one another and have the same name up to the first dot of the file's name are one sample, and
 * `000.cls`, `000.json` and `000.txt` say something of the image `000.jpg`.
 */

const textExtensions = new Set([".cls", ".json", ".txt"]);
/** A label, and not a book. */
const sidecarBytesAtMost = 1024 * 1024;

/** What the files of a sample have in common. */
export function sampleOf(name: string): string {
  const slash = name.lastIndexOf("/") + 1;
  const dot = name.indexOf(".", slash);
  return dot <= slash ? name : name.slice(0, dot);
}

export function isImage({ name }: Member): boolean {
  return looksLikeImage(partsOfKey(name).extension);
}

export function isSidecar({ name, sizeBytes }: Member): boolean {
  return textExtensions.has(partsOfKey(name).extension) && sizeBytes <= sidecarBytesAtMost;
}

/** Fields of a `.json` that may hold the label, in this order, if none is named. */
const labelFields = ["label", "cls", "class"];

/** The label that a text next to an image gives; undefined if it gives none. */
export function labelIn(name: string, text: string, labelField: string | null): string | undefined {
  const { extension } = partsOfKey(name);
  if (extension === ".cls") return text.trim() === "" ? undefined : text.trim();
  if (extension !== ".json") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  for (const field of labelField === null ? labelFields : [labelField]) {
    const found = (value as Readonly<Record<string, unknown>>)[field];
    if (typeof found === "string" && found.trim() !== "") return found.trim();
    if (typeof found === "number") return String(found);
  }
  return undefined;
}
