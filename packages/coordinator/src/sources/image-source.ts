import type { ListOptions, ObjectInfo, ObjectStore, SkipReason } from "@trommel/common";
import type { CarriedColumn, EntryPlace } from "@trommel/common/artefacts";

/** One image as a source lists it, or an object that is skipped. */
export interface ListedImage extends ObjectInfo {
  /** The place of its bytes, if not in the object with its key. */
  readonly at?: EntryPlace | undefined;
  /** What the source itself says of it. */
  readonly label?: string | undefined;
  /** Values of the source's carried columns, in their order. */
  readonly carried?: readonly unknown[] | undefined;
  /** Why the source itself skips it. */
  readonly skip?: Extract<SkipReason, "sidecar" | "not-an-archive"> | undefined;
}

/** An image by its key, and what the source's own table says of it. */
export interface LabelledRow {
  readonly key: string;
  /** Undefined if no column of the source labels. */
  readonly label: string | undefined;
  /** What the asked columns hold, as texts; empty where nothing is. */
  readonly others: readonly string[];
  /** The file and line that say so. */
  readonly file: string;
  readonly line: number;
}

/**
 * A source of images: a prefix, a manifest or archives. It lists them in one fixed order, each once; all that follows (shards, jobs,
 * ledger) knows nothing else of it. A prefix is the store that it is in.
 */
export interface ImageSource extends Pick<ObjectStore, "get" | "head" | "close"> {
  /** As messages name it. */
  readonly url: string;
  /** Whether the order is the source's own, and not that of the keys. */
  readonly anyOrder?: boolean;
  /** What is carried into the scores. */
  readonly columns?: readonly CarriedColumn[];
  /**
   * @param options.startAfter as ObjectStore.list takes it; for a source in key order
   * @param options.keysOnly whether sizes and etags may be missing: a manifest then looks at no object
   * @param options.passed how many images and skipped objects are passed over; for a source with its own order
   */
  list(
    prefix: string,
    options?: ListOptions & { readonly passed?: number; readonly keysOnly?: boolean },
  ): AsyncIterable<ListedImage>;
  /** Every image with its label; absent for a prefix, whose keys say all. @param columns others that are read */
  readonly labelled?: (columns: readonly string[]) => AsyncIterable<LabelledRow>;
}

/** A source that looks at no object, for those who need keys alone. */
export function keysOnly(source: ImageSource): ImageSource {
  const { url, labelled } = source;
  return {
    url,
    ...(labelled === undefined ? {} : { labelled }),
    list: (prefix, options) => source.list(prefix, { ...options, keysOnly: true }),
    get: (key, options) => source.get(key, options),
    head: (key) => source.head(key),
    close: () => source.close(),
  };
}
