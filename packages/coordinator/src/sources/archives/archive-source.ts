import { TrommelError, type ObjectInfo, type ObjectStore } from "@trommel/common";
import type { ArchivesForm } from "@trommel/common/artefacts";
import { unpack, type ByteSource } from "@trommel/common/archives";
import { locationOf, whyIllegalKey } from "@trommel/common/store";
import { skipByName } from "../../listing/key-filter.js";
import type { ImageSource, LabelledRow, ListedImage } from "../image-source.js";
import { archiveKind, openArchive } from "./open-archive.js";
import type { Damage, Found, Member } from "./member.js";
import { isImage, isSidecar, labelIn, sampleOf } from "./sidecars.js";

/** Files of one sample; a run of more is no sample. */
const sampleFilesAtMost = 64;

/**
 * The images within archives, archive by archive in the order of their keys, and in each in its own order. An image's key is the
 * archive's, `/`, and its name there. A damaged archive lists an entry for the damage, which becomes a failed image: what was
 * read of it before is listed.
 */
export function archiveSource(form: ArchivesForm, prefix: ObjectStore): ImageSource {
  async function* list(): AsyncGenerator<ListedImage> {
    for await (const object of prefix.list("", { withUnusable: true })) {
      if (form.object !== null && object.key !== form.object) continue;
      const kind = object.unusable === undefined ? archiveKind(object.key) : undefined;
      if (object.unusable !== undefined || skipByName(object.key) !== undefined) yield object;
      else if (kind === undefined) yield { ...object, skip: "not-an-archive" };
      else yield* imagesIn(object);
    }
  }
  async function* imagesIn(object: ObjectInfo): AsyncGenerator<ListedImage> {
    const archive = openArchive(prefix, object, form);
    const names = new Set<string>();
    const damages = new Map<number, number>();
    try {
      for await (const found of inSamples(archive.found, archive.source, form.labelColumn)) {
        if ("damage" in found) {
          yield damaged(object, found.damage, damages);
          continue;
        }
        const listed = listedOf(object, found);
        if (names.has(listed.key)) {
          const offset = found.member.place.range?.[0] ?? names.size;
          const why = `it has a second file with the name ${JSON.stringify(found.member.name)}`;
          yield damaged(object, { offset, why }, damages);
          continue;
        }
        names.add(listed.key);
        yield listed;
      }
    } finally {
      archive.source.close();
    }
  }
  return {
    url: form.object === null ? prefix.url : locationOf(prefix.url, form.object),
    anyOrder: true,
    async *list(_, { passed = 0 } = {}) {
      let number = 0;
      for await (const image of list()) {
        number += 1;
        if (number > passed) yield image;
      }
    },
    async *labelled() {
      let line = 0;
      for await (const { key, at, label, skip, unusable } of list()) {
        line += 1;
        if (at?.damaged !== undefined) throw unreadable(locationOf(prefix.url, at.object), at.damaged);
        if (skip !== undefined || unusable !== undefined) continue;
        yield {
          key,
          label: label ?? innerFolder(key, at?.object),
          others: [],
          file: locationOf(prefix.url, at?.object ?? ""),
          line,
        } satisfies LabelledRow;
      }
    },
    get: (key, options) => prefix.get(key, options),
    head: (key) => prefix.head(key),
    close: () => prefix.close(),
  };
}

/** @returns the error of an archive that cannot be read to its end, for those who need all of it */
export function unreadable(name: string, { offset, why }: Damage): TrommelError {
  return new TrommelError(
    "bad-dataset",
    `cannot read ${name}, at byte ${offset}: ${why}. Make the archive again`,
    { context: { object: name, offset } },
  );
}

/** @param counts how many damages the archive has at each place: the rows of a page are at one */
function damaged(
  { key: archive, etag }: ObjectInfo,
  damage: Damage,
  counts: Map<number, number>,
): ListedImage {
  const count = (counts.get(damage.offset) ?? 0) + 1;
  counts.set(damage.offset, count);
  const key = `${archive}@${damage.offset}${count === 1 ? "" : `#${count}`}`;
  return { key, sizeBytes: 0, etag, at: { object: archive, damaged: damage } };
}

interface Sampled {
  readonly member: Member;
  readonly label: string | undefined;
  readonly isSidecar: boolean;
}

function listedOf(
  { key: archive, etag }: ObjectInfo,
  { member, label, isSidecar: isBeside }: Sampled,
): ListedImage {
  const { sizeBytes, place, isOther } = member;
  const key = `${archive}/${member.name.replace(/^(?:\.?\/)+/, "")}`;
  const base: ListedImage = { key, sizeBytes, etag, at: { object: archive, ...place } };
  if (whyIllegalKey(key) !== undefined) return { ...base, unusable: "illegal-key" };
  if (isOther === true) return { ...base, unusable: "not-a-file" };
  if (isBeside) return { ...base, skip: "sidecar" };
  return { ...base, ...(label === undefined ? {} : { label }) };
}

/** Finds the labels that lie next to images. */
async function* inSamples(
  found: AsyncIterable<Found>,
  source: ByteSource,
  labelField: string | null,
): AsyncGenerator<Sampled | { readonly damage: Damage }> {
  let sample: Member[] = [];
  const flush = async function* (): AsyncGenerator<Sampled> {
    const members = sample;
    sample = [];
    const hasImage = members.some(isImage);
    const beside = hasImage ? members.filter(isSidecar) : [];
    let label: string | undefined;
    for (const member of beside) label ??= await labelBeside(member, source, labelField);
    for (const member of members)
      yield { member, label: member.label ?? label, isSidecar: beside.includes(member) };
  };
  for await (const each of found) {
    if ("damage" in each) {
      yield* flush();
      yield each;
      continue;
    }
    const first = sample[0];
    const continues = first !== undefined && sampleOf(first.name) === sampleOf(each.member.name);
    if (!continues || sample.length === sampleFilesAtMost) yield* flush();
    sample.push(each.member);
  }
  yield* flush();
}

async function labelBeside(
  { name, sizeBytes, place }: Member,
  source: ByteSource,
  labelField: string | null,
): Promise<string | undefined> {
  if (place.range === undefined || sizeBytes === 0 || !/\.(?:cls|json)$/i.test(name)) return undefined;
  const bytes = await source.bytes(...place.range);
  try {
    const text = unpack(bytes, { object: name, ...place }, sizeBytes);
    return labelIn(name, Buffer.from(text).toString("utf8"), labelField);
  } catch {
    // The text is no image; the image then has no label, which training says.
    return undefined;
  }
}

/**
 * The class folder of a key within an archive of the form; undefined without one.
 * @param form the archive is known, or is what the key begins with
 */
export function folderWithin(key: string, { object }: Pick<ArchivesForm, "object">): string | undefined {
  if (object !== null) return key.startsWith(`${object}/`) ? innerFolder(key, object) : undefined;
  for (let end = key.indexOf("/"); end !== -1; end = key.indexOf("/", end + 1)) {
    const archive = key.slice(0, end);
    if (archiveKind(archive) !== undefined) return innerFolder(key, archive);
  }
  return undefined;
}

/** The class folder within the archive. */
function innerFolder(key: string, archive: string | undefined): string | undefined {
  const inner = key.slice((archive?.length ?? -1) + 1);
  const slash = inner.indexOf("/");
  return slash > 0 ? inner.slice(0, slash).normalize("NFC") : undefined;
}
