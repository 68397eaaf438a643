import { backboneKeys, backboneSpec, parseJsonAs, type ObjectStore, type RunConfig } from "@trommel/common";
import { readIfThere } from "@trommel/common/store";

/** Sentences on backbones that have learned from images with labels, which may be those of a run. */
export async function backboneNotes(
  store: ObjectStore,
  { backbones }: Pick<RunConfig, "backbones">,
): Promise<string[]> {
  const notes: string[] = [];
  for (const { id } of backbones) {
    const runs = await tunedBy(store, id);
    if (runs.length > 0)
      notes.push(
        `The backbone ${id} was tuned by ${runs.join(" and ")}. If it learned from images of this run, the figures on them flatter, whatever part they are in here: rely on images that it never saw.`,
      );
  }
  return notes;
}

/** The runs that have tuned a backbone, the last one first; those of its original for an int8 copy. */
async function tunedBy(store: ObjectStore, id: string): Promise<string[]> {
  const { spec: key } = backboneKeys(id);
  const body = await readIfThere(store, key);
  if (body === undefined) return [];
  const { kind, url, from } = parseJsonAs(backboneSpec, body, key).source;
  if (kind === "int8") return tunedBy(store, url);
  if (kind !== "tuned") return [];
  return [url.replace(/^run:/, ""), ...(from === undefined ? [] : await tunedBy(store, from))];
}
