import { useState } from "preact/hooks";
import { pathOf } from "../api";

/** Pictures that a page of them has. */
export const perPage = 24;

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
  /** Of the next page; null on the last one. */
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
