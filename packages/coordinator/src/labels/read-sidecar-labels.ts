import { messageOf, TrommelError } from "@trommel/common";
import { skipByName } from "../listing/key-filter.js";
import { SidecarFaults } from "./faults/sidecar-faults.js";
import { partsOfKey, type LabelledPlace, type LabelsByKey } from "./labelled-images.js";
import { whyIllegalLabel } from "./text/check-label.js";

/** Reads in flight: enough to hide a bucket's latency, few enough for any server. */
const concurrentReads = 64;
/** One line with a file name and a class. */
const maxSidecarBytes = 16 * 1024;

interface Sidecar {
  readonly key: string;
  /** Keys of the other files in its folder that share its stem. */
  readonly images: readonly string[];
}

/**
 * Reads one text file per image: `a/img_1.txt` with `img_1.jpg, 0` labels `a/img_1.jpg`. After the comma comes the
 * class's index in the class list, or its name. Names match by their normal form (Unicode NFC).
 * @param extension the text files' extension, with its dot
 * @param classes the class list; without one, only names are legal
 * @param except keys of text files that label no image, such as the class list's own
 * @returns labels by key, of the images that have a text file
 * @throws TrommelError `bad-dataset` naming the first text files with faults, and their number
 */
export async function readSidecarLabels(
  options: LabelledPlace & {
    readonly extension: string;
    readonly classes: readonly string[] | null;
    readonly except: ReadonlySet<string>;
  },
): Promise<LabelsByKey> {
  const sidecars = await listSidecars(options);
  if (sidecars.length === 0) {
    throw new TrommelError(
      "bad-dataset",
      `cannot label ${options.source.url}: no ${options.extension} file exists there. Put one next to each image, or choose other labels (--set labels.source.type=folders)`,
      { context: { dataset: options.source.url } },
    );
  }
  const labels = new Map<string, string>();
  const faults = new SidecarFaults();
  const resolve = classResolver(options.classes);
  for (let start = 0; start < sidecars.length; start += concurrentReads) {
    const group = sidecars.slice(start, start + concurrentReads);
    // All are settled, so that faults are reported in the listing's order, whichever read ends first.
    const read = await Promise.allSettled(
      group.map((sidecar) => readSidecar(options.source, sidecar, resolve)),
    );
    for (const outcome of read) {
      if (outcome.status === "rejected") throw outcome.reason;
      const { value } = outcome;
      if ("why" in value) faults.add(value.file, value.line, value.why);
      else for (const key of value.keys) labels.set(key, value.label);
    }
  }
  faults.check(options.source.url);
  return labels;
}

async function listSidecars(
  options: LabelledPlace & {
    readonly extension: string;
    readonly except: ReadonlySet<string>;
  },
): Promise<Sidecar[]> {
  const texts: string[] = [];
  const imagesByStem = new Map<string, string[]>();
  const leftOut = new Set<string>();
  for await (const { key, unusable } of options.source.list("", { withUnusable: true })) {
    if (unusable !== undefined) continue;
    if (skipByName(key) !== undefined || options.except.has(key)) continue;
    if (key.endsWith(options.extension)) {
      texts.push(key);
      continue;
    }
    const { folder, stem } = partsOfKey(key.normalize("NFC"));
    if (options.filter.skipByPattern(key) !== undefined) {
      leftOut.add(folder + stem);
      continue;
    }
    const beside = imagesByStem.get(folder + stem);
    if (beside === undefined) imagesByStem.set(folder + stem, [key]);
    else beside.push(key);
  }
  const stemOf = (key: string): string => key.slice(0, -options.extension.length).normalize("NFC");
  // The text file of an image that a pattern left out labels nothing.
  return texts
    .filter((key) => imagesByStem.has(stemOf(key)) || !leftOut.has(stemOf(key)))
    .map((key) => ({ key, images: imagesByStem.get(stemOf(key)) ?? [] }));
}

/** The class that a text means, or the reason why it means no class. */
type ClassResolver = (text: string) => { readonly label: string } | { readonly why: string };

function classResolver(classes: readonly string[] | null): ClassResolver {
  const names = new Set(classes);
  return (text) => {
    const isIndex = /^\d+$/.test(text);
    if (classes === null) {
      if (isIndex)
        return { why: `${text} is an index, and without a class list (--classes) it has no meaning` };
      return { label: text };
    }
    const named = names.has(text) ? text : undefined;
    const indexed = isIndex ? classes[Number(text)] : undefined;
    if (named !== undefined && indexed !== undefined && named !== indexed)
      return { why: `${text} is both the name of a class and the index of ${JSON.stringify(indexed)}` };
    const label = named ?? indexed;
    if (label !== undefined) return { label };
    if (isIndex)
      return { why: `index ${text} is not in the class list, which ends at ${classes.length - 1}` };
    return { why: `the class ${JSON.stringify(text)} is not in the class list` };
  };
}

interface SidecarFault {
  readonly file: string;
  readonly line: number;
  readonly why: string;
}

async function readSidecar(
  source: LabelledPlace["source"],
  { key, images }: Sidecar,
  resolve: ClassResolver,
): Promise<{ readonly keys: string[]; readonly label: string } | SidecarFault> {
  const refused = (why: string, line = 1): SidecarFault => ({ file: key, line, why });
  const read = await readText(source, key);
  if ("why" in read) return refused(read.why);
  const { line, second } = onlyLine(read.text);
  if (second !== undefined) return refused("it has a second line", second);
  const comma = line.lastIndexOf(",");
  if (comma === -1) return refused(line === "" ? "it is empty" : `${quote(line)} has no comma`);
  // File names and classes may contain commas: an image of this stem whose name starts the line shows where the name ends.
  const names = [...new Set(images.map((of) => partsOfKey(of.normalize("NFC")).fileName))];
  const image = names.find((name) => line.startsWith(name) && /^\s*,/.test(line.slice(name.length)));
  if (image === undefined) {
    const named = quote(line.slice(0, comma).trim());
    return refused(
      names.length === 0
        ? `it names ${named}, and there is no such image in its folder`
        : `it names ${named}, but the image of this name is ${names.map(quote).join(" or ")}`,
    );
  }
  const text = line.slice(image.length).replace(/^\s*,/, "").trim();
  if (text === "") return refused("it names no class");
  const illegal = whyIllegalLabel(text);
  if (illegal !== undefined) return refused(illegal);
  const resolved = resolve(text);
  if ("why" in resolved) return refused(resolved.why);
  const keys = images.filter((of) => partsOfKey(of.normalize("NFC")).fileName === image);
  return { keys, label: resolved.label };
}

async function readText(
  source: LabelledPlace["source"],
  key: string,
): Promise<{ readonly text: string } | { readonly why: string }> {
  let bytes: Uint8Array;
  try {
    bytes = await source.get(key, { maxBytes: maxSidecarBytes });
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "too-large")
      return { why: `it is larger than ${maxSidecarBytes} bytes` };
    throw thrown;
  }
  try {
    return { text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch (cause) {
    return { why: `it is not UTF-8 (${messageOf(cause)})` };
  }
}

/** The first line, normalised (Unicode NFC), and the number of the next one that is not blank. */
function onlyLine(text: string): { line: string; second: number | undefined } {
  const [first = "", ...rest] = text.split(/\r\n|\n|\r/);
  const next = rest.findIndex((line) => line.trim() !== "");
  return { line: first.trim().normalize("NFC"), second: next === -1 ? undefined : next + 2 };
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
