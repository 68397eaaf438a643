import type { openStore, OpenStoreOptions } from "@trommel/common";
import type { SourceForm } from "@trommel/common/artefacts";
import type { ImageSource } from "./image-source.js";
import { archiveSource } from "./archives/archive-source.js";
import { manifestSource } from "./manifest/manifest-source.js";

/** The source of a run's or scoring's images. */
export interface SourcePlace {
  /** The prefix; of a manifest of whole locations, the manifest. */
  readonly location: string;
  /** Absent if the images are the objects under the prefix. */
  readonly from?: SourceForm | undefined;
}

/** Opens the source of a run or scoring. Nothing is read yet. */
export function openSource(
  { location, from }: SourcePlace,
  open: typeof openStore,
  options: OpenStoreOptions = {},
): ImageSource {
  const prefix = open(location, options);
  if (from === undefined) return prefix;
  return from.type === "archives" ? archiveSource(from, prefix) : manifestSource(from, prefix);
}

/** The source of a run or scoring. */
export function placeOf(
  config:
    | { readonly dataset: string; readonly from?: SourceForm | undefined }
    | { readonly source: string; readonly from?: SourceForm | undefined },
): SourcePlace {
  return { location: "dataset" in config ? config.dataset : config.source, from: config.from };
}
