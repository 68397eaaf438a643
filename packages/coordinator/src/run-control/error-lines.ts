import { openStore, TrommelError, type ErrorLine, type ObjectStore } from "@trommel/common";
import { errorLine } from "@trommel/common/artefacts";
import { parseJsonAs } from "@trommel/common/parse";
import { byteLines, readChunks } from "@trommel/common/store";
import type { ListingSubject } from "./subject.js";

/** Whether a failed image is kept, called once for each in the order of the listing; `enough` if neither it nor a later one is. */
export type KeepsImage = (line: ErrorLine) => boolean | "enough";

const chunkBytes = 1 << 20;

/**
 * The lines of an `errors.jsonl` that are kept. It is read in pieces, so that the others take no memory.
 * @param file.count failed images, as the ledger counts them
 * @throws TrommelError `corrupt` if the file is missing, or does not have one line for each failed image
 */
export async function readErrorLines(
  store: ObjectStore,
  subject: ListingSubject,
  file: { readonly key: string; readonly count: number; readonly keeps: KeepsImage },
): Promise<ErrorLine[]> {
  const { key, count, keeps } = file;
  const place = subject.kind === "run" ? store : openStore(subject.config.output);
  const ledger = key.replace(/errors\.jsonl$/, "ledger.json");
  const unlike = (found: string): TrommelError =>
    new TrommelError(
      "corrupt",
      `cannot read ${key}: ${found}, and ${ledger} counts ${count} failed. Remove ${ledger} and give 'trommel resume ${subject.id}', which adds up and writes both again`,
      { context: { key } },
    );
  try {
    const info = await place.head(key);
    if (info === undefined) throw unlike("it is missing");
    const lines: ErrorLine[] = [];
    let number = 0;
    for await (const line of byteLines(readChunks(place, info, { chunkBytes }))) {
      if (line.length === 0) continue;
      const text = line.toString("utf8");
      number += 1;
      const kept = keeps(roughly(text, `line ${number} of ${key}`));
      if (kept === "enough") return lines;
      if (kept) lines.push(parseJsonAs(errorLine, text, `line ${number} of ${key}`));
    }
    if (number !== count) throw unlike(`it has ${number} lines`);
    return lines;
  } finally {
    if (place !== store) place.close();
  }
}

/** A line that is checked once it is kept: there may be millions of others. */
function roughly(text: string, name: string): ErrorLine {
  try {
    return JSON.parse(text) as ErrorLine;
  } catch {
    return parseJsonAs(errorLine, text, name);
  }
}
