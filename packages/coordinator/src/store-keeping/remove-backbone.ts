import { runConfig, runKeys, TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";
import { parseSealedAs } from "@trommel/common/codec";
import { readIfThere } from "@trommel/common/store";
import { listSubjects } from "../run-control/list-subjects.js";
import type { GarbageSum } from "./garbage.js";
import { featuresOf } from "./references.js";

/** What a backbone takes in the store. */
export interface StoredBackbone extends GarbageSum {
  /** `name@hash12` */
  readonly id: string;
}

/**
 * Counts and on request removes a backbone, also one whose spec cannot be read.
 *
 * Its spec goes first: without it the rest is an incomplete backbone, which nobody uses and the garbage collection removes.
 * @param reference `name@` and the first digits of the hash; a plain name might mean another one tomorrow
 * @throws TrommelError `not-found`, `invalid-argument` for a plain or ambiguous name, `conflict` naming the runs that use
 *   it, `corrupt` for a run that cannot be read, since its backbones are unknown
 */
export async function removeBackbone(
  store: ObjectStore,
  reference: string,
  remove: boolean,
): Promise<StoredBackbone> {
  const found = new Map<string, ObjectInfo[]>();
  for await (const object of store.list("backbones/")) {
    const id = object.key.split("/")[1] ?? "";
    const objects = found.get(id);
    if (objects === undefined) found.set(id, [object]);
    else objects.push(object);
  }
  const id = chooseId(reference, [...found.keys()], store.url);
  const users = await runsThatUse(store, id);
  if (users.length > 0) {
    const which = `'trommel store remove ${users[0]}'`;
    throw new TrommelError(
      "conflict",
      `cannot remove the backbone ${id}: the ${users.length === 1 ? "run" : "runs"} ${users.join(", ")} and what was trained there need it. Remove ${users.length === 1 ? "it" : "them"} first (${which})`,
      { context: { id, runs: users } },
    );
  }
  const objects = found.get(id) ?? [];
  if (remove) {
    const isSpec = ({ key }: ObjectInfo): boolean => key.endsWith("/spec.json");
    await store.delete(objects.filter(isSpec).map(({ key }) => key));
    await store.delete(objects.filter((object) => !isSpec(object)).map(({ key }) => key));
  }
  const sizeBytes = objects.reduce((sum, object) => sum + object.sizeBytes, 0);
  return { id, objects: objects.length, sizeBytes };
}

function chooseId(reference: string, ids: readonly string[], url: string): string {
  const [name, digits = ""] = reference.split("@");
  const named = ids.filter((id) => id.split("@")[0] === name);
  const matches = digits === "" ? [] : named.filter((id) => id.startsWith(reference));
  const [only] = matches;
  if (only !== undefined && matches.length === 1) return only;
  if (named.length > 0 && (digits === "" || matches.length > 1)) {
    throw new TrommelError(
      "invalid-argument",
      `cannot remove the backbone ${reference}: a removal names one by its hash. Give ${named.join(" or ")}`,
      { context: { reference, ids: named } },
    );
  }
  throw new TrommelError(
    "not-found",
    `cannot remove the backbone ${reference}: ${url} holds ${ids.length === 0 ? "no backbone" : ids.join(", ")}. Give one of those that 'trommel backbone ls' lists`,
    { context: { reference, ids: [...ids] } },
  );
}

async function runsThatUse(store: ObjectStore, id: string): Promise<string[]> {
  const users: string[] = [];
  for (const { kind, id: run } of await listSubjects(store)) {
    if (kind !== "run") continue;
    const key = runKeys(run).config;
    const body = await readIfThere(store, key);
    if (body === undefined) continue;
    const config = parseSealedAs(runConfig, body, key);
    const used = [...config.backbones, ...((await featuresOf(store, config))?.backbones ?? [])];
    if (used.some((backbone) => backbone.id === id)) users.push(run);
  }
  return users;
}
