import type { z } from "zod";
import { TrommelError } from "../errors.js";
import type { ObjectStore } from "../store/object-store.js";
import { isDamage, rereading, unlessDamaged } from "./damage.js";
import { markerKeyOf, markerSchema, findMarker, readMarker, readWithMarker, type Marker } from "./marker.js";

/**
 * Artefacts between stages. The stage that makes one asks {@link findCommitted} whether it has to; the stages that read
 * one use {@link readInput}, which removes what is damaged, so that the first stage makes it again.
 */

/** How an artefact is read: by {@link readInput} in a stage, elsewhere by `readWithMarker`. */
export type ReadArtefact = (store: ObjectStore, key: string) => Promise<{ readonly bytes: Uint8Array }>;

/**
 * The marker of an artefact for the stage that makes it; undefined if it has to be made. An invalid marker, or one
 * without data of the stated size, is removed. The data's hash is left to {@link readInput}, so that a resumed
 * run does not read everything that is done.
 */
export async function findCommitted<Extended extends Marker>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Extended>,
): Promise<Extended | undefined>;
export async function findCommitted(store: ObjectStore, key: string): Promise<Marker | undefined>;
export async function findCommitted(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Marker> = markerSchema,
): Promise<Marker | undefined> {
  const marker = await unlessDamaged(rereading(() => findMarker(store, key, schema)));
  if (marker === undefined) return undefined;
  if (marker !== "damaged" && (await store.head(key))?.sizeBytes === marker.sizeBytes) return marker;
  await removeArtefact(store, key);
  return undefined;
}

/**
 * An artefact of an earlier stage, read by {@link readWithMarker}. If it stays damaged after repeated reading it is
 * removed, so that its stage makes it again when the run is resumed.
 * @throws TrommelError `missing-input` if it does not exist, or was just removed
 */
export async function readInput(
  store: ObjectStore,
  key: string,
): Promise<{ bytes: Uint8Array; marker: Marker }>;
export async function readInput<Extended extends Marker>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Extended>,
): Promise<{ bytes: Uint8Array; marker: Extended }>;
export async function readInput(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Marker> = markerSchema,
): Promise<{ bytes: Uint8Array; marker: Marker }> {
  return discarding(store, key, () => readWithMarker(store, key, schema));
}

/** The marker alone, as {@link readInput} reads it; the data is not looked at. */
export async function readInputMarker<Extended extends Marker>(
  store: ObjectStore,
  key: string,
  schema: z.ZodType<Extended>,
): Promise<Extended> {
  return discarding(store, key, () => rereading(() => readMarker(store, key, schema)));
}

/** Undefined for what does not exist, or was just removed: see {@link readInput}. */
export async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (thrown) {
    if (thrown instanceof TrommelError && thrown.code === "missing-input") return undefined;
    throw thrown;
  }
}

async function discarding<T>(store: ObjectStore, key: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (thrown) {
    if (!isDamage(thrown)) throw thrown;
    await removeArtefact(store, key);
    throw new TrommelError(
      "missing-input",
      `${thrown.message.replace(/\. [^.]*$/, "")}. It has been removed: resume the run, which makes it again`,
      { context: { ...thrown.context, removed: true }, cause: thrown },
    );
  }
}

/** Removes an artefact and its marker: the marker first, so that the artefact does not exist if this is interrupted. */
export async function removeArtefact(store: ObjectStore, key: string): Promise<void> {
  await store.delete([markerKeyOf(key)]);
  await store.delete([key]);
}
