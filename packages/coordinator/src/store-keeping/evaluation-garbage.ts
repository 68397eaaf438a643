import {
  outputKeys,
  parseJsonAs,
  runKeys,
  scoringConfig,
  scoringKeys,
  type ObjectInfo,
  type ObjectStore,
} from "@trommel/common";
import { evaluationFiles, modelEvaluation } from "@trommel/common/artefacts";
import { markerKeyOf, parseSealedAs, unlessCorrupt } from "@trommel/common/codec";
import { partInside, readIfThere } from "@trommel/common/store";
import type { Found } from "./garbage.js";
import { groups } from "./object-groups.js";
import type { References } from "./references.js";

/**
 * What evaluations left in a store: `evaluations/<model>-<listing>/scores/` whose scoring is gone, and
 * `evaluations/<model>-<listing>/<question>/` of a run that is gone, or without its marker.
 */
export async function* evaluationGarbage(store: ObjectStore, references: References): AsyncGenerator<Found> {
  for await (const { name, objects } of groups(store, "evaluations/", folderOf)) {
    const root = `evaluations/${name}`;
    if (root.endsWith("/scores")) {
      if (await hasScoring(store, root)) continue;
      yield { kind: "evaluations", objects: firstIs(objects, `${root}/${outputKeys.success}`) };
    } else {
      const marker = markerKeyOf(`${root}/${evaluationFiles.evaluation}`);
      const isWhole = objects.some(({ key }) => key === marker);
      if (isWhole && (await hasModel(store, references, root))) continue;
      yield { kind: isWhole ? "evaluations" : "incomplete", objects: firstIs(objects, marker) };
    }
  }
}

/** `<model>-<listing>/<question>`, or `<model>-<listing>/scores`. */
function folderOf(key: string): string | undefined {
  return /^evaluations\/([0-9a-f]{12}-[0-9a-f]{12}\/(?:scores|[0-9a-f]{12}))\//.exec(key)?.[1];
}

/** What makes the others valid is removed first. */
function firstIs(objects: readonly ObjectInfo[], key: string): ObjectInfo[] {
  return [
    ...objects.filter((object) => object.key === key),
    ...objects.filter((object) => object.key !== key),
  ];
}

async function hasScoring(store: ObjectStore, scores: string): Promise<boolean> {
  const key = `${scores}/${outputKeys.owner}`;
  const body = await readIfThere(store, key);
  const id = body === undefined ? undefined : unlessCorrupt(() => parseSealedAs(scoringConfig, body, key).id);
  return id !== undefined && (await store.head(scoringKeys(id).config)) !== undefined;
}

/** Models from elsewhere are taken to be there. */
async function hasModel(store: ObjectStore, references: References, folder: string): Promise<boolean> {
  const key = `${folder}/${evaluationFiles.evaluation}`;
  const body = await readIfThere(store, key);
  if (body === undefined) return false;
  const location = unlessCorrupt(() => parseJsonAs(modelEvaluation, body, key).model.location);
  if (location === undefined) return false;
  const inside = partInside(store.url, location);
  const run = inside === undefined ? undefined : /^runs\/([^/]+)\//.exec(`${inside}/`)?.[1];
  return run === undefined || inside !== runKeys(run).bundle || references.runs.has(run);
}
