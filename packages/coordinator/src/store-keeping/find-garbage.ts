import { subjectKeys, type ObjectInfo, type ObjectStore } from "@trommel/common";
import { listStoredIds } from "../run-control/list-subjects.js";
import { evaluationGarbage } from "./evaluation-garbage.js";
import type { Found, Garbage } from "./garbage.js";
import { groups } from "./object-groups.js";
import type { References } from "./references.js";
import { scoringGarbage } from "./scoring-garbage.js";
import { tuningGarbage } from "./tuning-garbage.js";

/**
 * The objects of a store that nothing refers to. Everything is streamed: besides {@link References}, only the objects of
 * one feature shard, backbone or run are held at a time. Objects with names that Trommel does not use are ignored.
 */

export interface GarbageSearch {
  readonly store: ObjectStore;
  readonly references: References;
  /** Whether backbones that no run uses are garbage. They were imported on purpose. */
  readonly withBackbones: boolean;
  /** Objects written later are kept, since a starting run may be about to refer to them. Seconds since 1970. */
  readonly writtenBeforeSeconds: number;
  /** Receives the number of objects that would be garbage if they were older. */
  readonly onYoung: (objects: number) => void;
}

export async function* findGarbage(search: GarbageSearch): AsyncGenerator<Garbage> {
  yield* unlessYoung(search, featureGarbage(search));
  yield* unlessYoung(search, backboneGarbage(search));
  yield* unlessYoung(search, leftOfRuns(search));
  yield* unlessYoung(search, tuningGarbage(search.store));
  yield* unlessYoung(search, splitGarbage(search));
  yield* unlessYoung(search, evaluationGarbage(search.store, search.references));
  yield* unlessYoung(search, scoringGarbage(search.store));
  yield* unlessYoung(search, leftOfChecks(search));
}

/** `trommel doctor` removes what it writes, unless it is killed. */
async function* leftOfChecks({ store }: GarbageSearch): AsyncGenerator<Found> {
  for await (const { objects } of groups(store, "doctor/", (key) => key.split("/")[1]))
    yield { kind: "checks", objects };
}

async function* unlessYoung(search: GarbageSearch, found: AsyncIterable<Found>): AsyncGenerator<Garbage> {
  for await (const { kind, objects, location } of found) {
    if (objects.some((object) => isYoung(object, search))) {
      search.onYoung(objects.length);
      continue;
    }
    const sizeBytes = objects.reduce((sum, object) => sum + object.sizeBytes, 0);
    yield { kind, keys: objects.map(({ key }) => key), sizeBytes, location };
  }
}

/** If the store does not report the time of writing, the object counts as young. */
function isYoung({ modifiedSeconds }: ObjectInfo, { writtenBeforeSeconds }: GarbageSearch): boolean {
  return modifiedSeconds === undefined || modifiedSeconds >= writtenBeforeSeconds;
}

const featureName = /^features\/([0-9a-f]{64})\/([0-9a-f]{64})\.safetensors(\.json)?$/;

async function* featureGarbage({ store, references }: GarbageSearch): AsyncGenerator<Found> {
  let fingerprint: string | undefined;
  let needed: ReadonlySet<string> | "all" = new Set();
  for await (const group of groups(store, "features/", (key) =>
    featureName.exec(key)?.slice(1, 3).join("/"),
  )) {
    const [folder = "", shard = ""] = group.name.split("/");
    if (folder !== fingerprint) {
      fingerprint = folder;
      needed = await references.shardsOf(folder);
    }
    if (needed === "all" || needed.has(shard)) continue;
    // In the listing data come before their marker.
    const objects = group.objects.toReversed();
    yield { kind: objects.length === 2 ? "features" : "incomplete", objects };
  }
}

/** A backbone is complete with its spec.json. */
async function* backboneGarbage(search: GarbageSearch): AsyncGenerator<Found> {
  const { store, references, withBackbones } = search;
  for await (const { name, objects } of groups(store, "backbones/", (key) => key.split("/")[1])) {
    const isSpec = ({ key }: ObjectInfo): boolean => key === `backbones/${name}/spec.json`;
    const isWhole = objects.some(isSpec);
    if (references.backbones.has(name) || (isWhole && !withBackbones)) continue;
    const specFirst = [...objects.filter(isSpec), ...objects.filter((object) => !isSpec(object))];
    yield { kind: isWhole ? "backbones" : "incomplete", objects: specFirst };
  }
}

/** A run of millions of images has tens of thousands of objects: they are yielded one by one, once all of them are old. */
async function* leftOfRuns(search: GarbageSearch): AsyncGenerator<Found> {
  const { store } = search;
  for await (const { kind, id, isWhole } of listStoredIds(store)) {
    if (isWhole) continue;
    const folder = `${subjectKeys({ kind, id }).root}/`;
    let young = 0;
    for await (const object of store.list(folder)) young += isYoung(object, search) ? 1 : 0;
    if (young > 0) search.onYoung(young);
    else for await (const object of store.list(folder)) yield { kind: "runs", objects: [object] };
  }
}

async function* splitGarbage({ store, references }: GarbageSearch): AsyncGenerator<Found> {
  for await (const object of store.list("splits/")) {
    // `<dataset>/<run>/<n>.json`, and `<dataset>/<run>.json` of an earlier version.
    const run = /^splits\/[0-9a-f]{64}\/([^/]+?)(?:\/\d+)?\.json$/.exec(object.key)?.[1];
    if (run !== undefined && !references.runs.has(run)) yield { kind: "splits", objects: [object] };
  }
}
