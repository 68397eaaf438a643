import { compareUtf8, TrommelError, type LabelOf, type ObjectStore } from "@trommel/common";
import { decodeLabelFile, placeIn, readLabelFile } from "./label-file.js";
import { matchIds } from "./match-ids.js";

const what = "the test part";

/**
 * Reads the list of the images that are tested on: one id in a line, as in a table of labels; blank lines are skipped.
 * @returns their keys in UTF-8 byte order
 * @throws TrommelError `not-found`; `bad-dataset` naming file and line of an id that no image has, that has no label, or that
 *   occurs twice
 */
export async function readTestKeys(source: ObjectStore, file: string, labelOf: LabelOf): Promise<string[]> {
  const text = decodeLabelFile(await readLabelFile(what, file), what, file, "bad-dataset");
  const lineOf = new Map<string, number>();
  const refused = (line: number, why: string): TrommelError =>
    new TrommelError("bad-dataset", `cannot read ${what} ${placeIn(file, line)}: ${why}. Remove the line`, {
      context: { file, line },
    });
  for (const [at, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const id = raw.trim().normalize("NFC");
    if (id === "") continue;
    const earlier = lineOf.get(id);
    if (earlier !== undefined)
      throw refused(at + 1, `${JSON.stringify(id)} already occurs on line ${earlier}`);
    lineOf.set(id, at + 1);
  }
  if (lineOf.size === 0)
    throw new TrommelError(
      "bad-dataset",
      `cannot read ${what} ${file}: it is empty. Write one key in a line, or leave split.test out`,
      { context: { file } },
    );
  const matches = await matchIds(source, { file, doing: "choose the test part of", lineOf });
  for (const [id, line] of lineOf)
    for (const key of matches.get(id) ?? [])
      if (labelOf(key) === undefined)
        throw refused(
          line,
          `the image ${JSON.stringify(key)} has no label, so nothing can be measured on it`,
        );
  return [...matches.values()].flat().sort(compareUtf8);
}
