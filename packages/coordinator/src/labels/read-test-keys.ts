import { compareUtf8, TrommelError, type LabelOf } from "@trommel/common";
import type { LabelledPlace } from "./labelled-images.js";
import { readLabelFile } from "./label-file.js";
import { matchIds } from "./match-ids.js";
import { TableFaults } from "./faults/table-faults.js";
import { quoteVisibly, tidyText } from "./text/check-label.js";
import { decodeLabelFile } from "./text/decode-label-file.js";

const what = "the test part";

/**
 * Reads the list of the images that are tested on: one id in a line, as in a table of labels; blank lines are skipped.
 * @returns their keys in UTF-8 byte order
 * @throws TrommelError `not-found`; `bad-dataset` naming file and line of an id that no image has, that has no label, or that
 *   occurs twice
 */
export async function readTestKeys(
  { source, filter }: LabelledPlace,
  file: string,
  labelOf: LabelOf,
): Promise<string[]> {
  const text = decodeLabelFile(await readLabelFile(what, file), { what, file, code: "bad-dataset" });
  const faults = new TableFaults(file);
  const lineOf = new Map<string, number>();
  const doing = `read ${what}`;
  for (const [at, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const id = tidyText(raw);
    if (id === "") continue;
    const earlier = lineOf.get(id);
    if (earlier === undefined) lineOf.set(id, at + 1);
    else faults.add(at + 1, `${quoteVisibly(id)} already occurs on line ${earlier}`, "Remove the line");
  }
  if (lineOf.size === 0)
    throw new TrommelError(
      "bad-dataset",
      `cannot read ${what} ${file}: it is empty. Write one key in a line, or leave split.test out`,
      { context: { file } },
    );
  const matches = await matchIds(source, filter, { lineOf, faults });
  for (const [id, line] of lineOf)
    for (const key of matches.get(id) ?? [])
      if (labelOf(key) === undefined)
        faults.add(
          line,
          `the image ${quoteVisibly(key)} has no label, so nothing can be measured on it`,
          "Remove the line",
        );
  faults.check(doing);
  return [...matches.values()].flat().sort(compareUtf8);
}
