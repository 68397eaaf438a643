import { resolveLocation, TrommelError } from "@trommel/common";
import type { SortHow, SortLedger } from "@trommel/common/artefacts";
import { resolveSorting } from "@trommel/coordinator/sorting";
import type { Subject } from "@trommel/coordinator/run-control";
import type { CallOptions } from "./abortable.js";
import { placeExpected, textGiven } from "./given.js";
import { Work, type StartOptions, type WorkHost } from "./work.js";

/** What sorts the pictures of a scoring into folders. */
export class Sorting extends Work {
  /**
   * Waits for its ledger.
   * @throws TrommelError `unsupported` for links that cannot be, `cancelled`; `unavailable` where nobody works on it
   */
  async result(options: CallOptions = {}): Promise<SortLedger> {
    const { sorted } = await this.summary(options);
    if (sorted === undefined) throw new TrommelError("internal", `${this.id} has no ledger`);
    return sorted;
  }
}

/** What `Scoring.startSort` takes. */
export interface StartSortOptions extends StartOptions {
  /** The place of the folders: a folder or `s3://bucket/prefix`, outside the source. */
  readonly into: string;
  /** Leaves images where they are whose largest probability is smaller. @default 0 */
  readonly min?: number | undefined;
  /**
   * `link` gives files a second name; `move` removes an image from its source once its bytes have been compared with those in its
   * place. @default "copy"
   */
  readonly how?: SortHow | undefined;
}

/** What `Scoring.sort` takes. */
export interface SortingOptions extends Omit<StartSortOptions, "detach"> {
  /** Called with each part that is done. */
  readonly onPart?: ((done: number, parts: number) => void) | undefined;
}

/** @internal Begins or continues the sorting of a scoring. */
export async function startSorting(
  host: WorkHost,
  subject: Subject,
  { into, min = 0, how = "copy", detach, signal, priority, jobsAtMost }: StartSortOptions,
): Promise<Sorting> {
  if (subject.kind !== "scoring") throw new TrommelError("internal", `${subject.id} is no scoring`);
  const { store, options } = host.connections;
  const target = resolveLocation(textGiven(into, "sort", "into", placeExpected), options.folder);
  const { config, claim } = await resolveSorting(store, subject.config, { into: target, min, how });
  const sorting = new Sorting(host, { kind: "sorting", id: config.id, config });
  await sorting.begin({ claim, detach, signal, priority, jobsAtMost });
  return sorting;
}

/** @internal Tells of each part that is done, until the sorting ends. */
export async function tellParts(
  sorting: Sorting,
  onPart: (done: number, parts: number) => void,
  { signal }: CallOptions,
): Promise<void> {
  let seen = 0;
  for await (const { stages } of sorting.watch({ signal })) {
    const sort = stages.find(({ stage }) => stage === "sort");
    if (sort === undefined || sort.done === seen) continue;
    seen = sort.done;
    onPart(sort.done, sort.total);
  }
}
