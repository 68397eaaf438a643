import {
  canonicalJson,
  openStore,
  parseAs,
  sha256Hex,
  TrommelError,
  type ObjectStore,
  type ScoringConfig,
} from "@trommel/common";
import {
  partsOf,
  sortingConfig,
  sortingKeys,
  type SortHow,
  type SortingConfig,
} from "@trommel/common/artefacts";
import { putJsonOnce, sealedJson } from "@trommel/common/codec";
import { partInside } from "@trommel/common/store";
import { checkWritable } from "../resolve/check-writable.js";
import { requireSuccess } from "../run-control/require-success.js";

/**
 * A sorting of a finished scoring, by what it is: the same scores, place, way and `min` are the same sorting.
 * @returns its configuration, and what writes it
 * @throws TrommelError `conflict` where the scoring is not complete, `invalid-argument` for a target that lies in the source or around it
 */
export async function resolveSorting(
  store: ObjectStore,
  scoring: ScoringConfig,
  asked: { readonly into: string; readonly how: SortHow; readonly min: number },
): Promise<{ readonly config: SortingConfig; readonly claim: () => Promise<void> }> {
  const { into, how, min } = asked;
  refuseNested(scoring.source, into);
  await checkWritable(into, "--into");
  const output = openStore(scoring.output);
  try {
    const success = await requireSuccess(output, `sort ${scoring.id}`);
    const parts = partsOf(success);
    const hash = sha256Hex(canonicalJson({ scoring: scoring.id, into, how, min, parts }));
    const id = `sort-${hash.slice(0, 12)}`;
    const { source } = scoring;
    const config = parseAs(
      sortingConfig,
      {
        ...{ formatVersion: 1, id, scoring: scoring.id, output: scoring.output, source },
        ...{ into, how, min, parts, images: success.rows },
      },
      "the sorting",
    );
    const claim = async (): Promise<void> => {
      await putJsonOnce(store, sortingKeys(id).config, sealedJson(config));
    };
    return { config, claim };
  } finally {
    output.close();
  }
}

/** Sorted pictures under the source would be listed as pictures the next time, and a source under the target might be one of its labels. */
function refuseNested(source: string, target: string): void {
  if (partInside(source, target) === undefined && partInside(target, source) === undefined) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot sort ${source} into ${target}: one of them is inside the other. Choose an --into outside the pictures`,
  );
}
