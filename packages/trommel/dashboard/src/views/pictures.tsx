import { useEffect, useState } from "preact/hooks";
import { ask, pathOf, wordsOf } from "../api";

/** Pictures that a page of them has. */
export const perPage = 24;

/**
 * What the server says of a page: the last page that it gave, and why it gave no other one.
 * @param version asks again when it changes
 */
export function usePage<Page>(
  path: string,
  version = 0,
): { readonly page: Page | undefined; readonly said: string } {
  const [page, setPage] = useState<Page>();
  const [said, setSaid] = useState("");
  useEffect(() => {
    ask<Page>(path).then(
      (found) => {
        setPage(found);
        setSaid("");
      },
      (thrown: unknown) => setSaid(wordsOf(thrown)),
    );
  }, [path, version]);
  return { page, said };
}

/** A thumbnail of a listed image, or a frame without one. */
export function Picture({
  id,
  of,
  shard,
}: {
  readonly id: string;
  readonly of: string;
  /** The shard that lists it; unknown of the worst mistakes. */
  readonly shard?: number;
}) {
  const [isGone, setGone] = useState(false);
  if (isGone) return <span class="no-picture">no picture</span>;
  const query = { key: of, ...(shard === undefined ? {} : { shard: String(shard) }) };
  const source = `/api/v1${pathOf(id, "/thumbnail", query)}`;
  return <img src={source} alt="" loading="lazy" width={160} height={120} onError={() => setGone(true)} />;
}

/** Buttons to the pages before and after one. */
export function Pager({
  after,
  next,
  go,
}: {
  /** How many pictures precede the page. */
  readonly after: number;
  /** How many pictures precede the next page; null on the last one. */
  readonly next: number | null;
  readonly go: (after: number) => void;
}) {
  return (
    <p class="actions">
      {after > 0 ? (
        <button type="button" onClick={() => go(Math.max(0, after - perPage))}>
          Previous
        </button>
      ) : null}
      {next === null ? null : (
        <button type="button" onClick={() => go(next)}>
          Next
        </button>
      )}
    </p>
  );
}
