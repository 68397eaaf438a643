import type { ObjectInfo, ObjectStore } from "@trommel/common";

/** Consecutive objects of a listing whose keys have the same name; objects without a name are skipped. */
export async function* groups(
  store: ObjectStore,
  prefix: string,
  nameOf: (key: string) => string | undefined,
): AsyncGenerator<{ readonly name: string; readonly objects: ObjectInfo[] }> {
  let group: { readonly name: string; readonly objects: ObjectInfo[] } | undefined;
  for await (const object of store.list(prefix)) {
    const name = nameOf(object.key);
    if (name === undefined) continue;
    if (group?.name === name) {
      group.objects.push(object);
      continue;
    }
    if (group !== undefined) yield group;
    group = { name, objects: [object] };
  }
  if (group !== undefined) yield group;
}
