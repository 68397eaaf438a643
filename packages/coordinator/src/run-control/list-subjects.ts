import { runKeys, scoringKeys, TrommelError, type ObjectStore } from "@trommel/common";
import { sortingKeys } from "@trommel/common/artefacts";
import type { SubjectKind } from "@trommel/common/jobs";

/** An id that the store has files for. */
export interface StoredId {
  readonly kind: SubjectKind;
  readonly id: string;
  /** Whether its configuration exists, so that it is a run or scoring; otherwise only remains of one are left. */
  readonly isWhole: boolean;
}

/** Every run, scoring and sorting in the store, in order of their ids. */
export async function listSubjects(store: ObjectStore): Promise<{ kind: SubjectKind; id: string }[]> {
  const found: { kind: SubjectKind; id: string }[] = [];
  for await (const { kind, id, isWhole } of listStoredIds(store)) if (isWhole) found.push({ kind, id });
  return found;
}

/** Every id below `runs/`, then every one below `scorings/` and `sortings/`, each in order. */
export async function* listStoredIds(store: ObjectStore): AsyncGenerator<StoredId> {
  const roots = [
    { kind: "run", root: "runs/", configOf: (id: string) => runKeys(id).config },
    { kind: "scoring", root: "scorings/", configOf: (id: string) => scoringKeys(id).config },
    { kind: "sorting", root: "sortings/", configOf: (id: string) => sortingKeys(id).config },
  ] as const;
  for (const { kind, root, configOf } of roots) {
    // One page per run, not one per shard: the listing continues after the last key of an id that was seen.
    let startAfter: string | undefined;
    for (;;) {
      const id = await nextId(store, root, startAfter);
      if (id === undefined) break;
      yield { kind, id, isWhole: (await store.head(configOf(id))) !== undefined };
      startAfter = `${root}${id}/\u{10ffff}`;
    }
  }
}

async function nextId(
  store: ObjectStore,
  root: string,
  startAfter: string | undefined,
): Promise<string | undefined> {
  try {
    for await (const { key } of store.list(root, startAfter === undefined ? {} : { startAfter })) {
      return key.slice(root.length).split("/")[0];
    }
  } catch (thrown) {
    // A folder to which nothing was ever written does not exist yet; a bucket that is missing is an error.
    const noFolder =
      thrown instanceof TrommelError && thrown.code === "not-found" && store.url.startsWith("file:");
    if (!noFolder) throw thrown;
  }
  return undefined;
}
