import { basename } from "node:path";
import { canonicalJson, sha256Hex, type RunConfig } from "@trommel/common";

/**
 * The default id of a run: the same command names the same run. It is derived from the resolved request, so two spellings of one
 * recipe are one run, and other labels under the same names are another.
 */
export function defaultRunId(request: Pick<RunConfig, "dataset" | "recipe" | "labels" | "export">): string {
  const { dataset, recipe, labels, export: exportTo } = request;
  const name = basename(dataset.startsWith("file:") ? decodeURIComponent(dataset) : dataset)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-+|-+$/g, "")
    .slice(0, 40);
  const hash = sha256Hex(canonicalJson({ dataset, recipe, labels, export: exportTo })).slice(0, 8);
  return name === "" ? `run-${hash}` : `${name}-${hash}`;
}
