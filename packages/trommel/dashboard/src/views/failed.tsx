import { useState } from "preact/hooks";
import { pathOf } from "../api";
import { count } from "../format";
import { Pager, perPage, Picture, usePage } from "./pictures";

interface Page {
  readonly sums: { readonly failedByReason: Readonly<Record<string, number>> };
  readonly images: readonly {
    readonly key: string;
    readonly reason: string;
    readonly detail: string;
    readonly shard: number;
  }[];
  readonly next: number | null;
}

/** Failed images of a run, by reason, a page at a time. */
export function Failed({ id, failed }: { readonly id: string; readonly failed: number }) {
  const [reason, setReason] = useState("");
  const [after, setAfter] = useState(0);
  const query = { limit: String(perPage), after: String(after), ...(reason === "" ? {} : { reason }) };
  const { page, said } = usePage<Page>(pathOf(id, "/failed", query), failed);
  const choose = (next: string): void => {
    setReason(next);
    setAfter(0);
  };
  const reasons = Object.entries(page?.sums.failedByReason ?? {});
  return (
    <section aria-labelledby="failed">
      <h2 id="failed">Failed images</h2>
      <p role="alert">{said}</p>
      <p class="choices">
        {[["", failed] as const, ...reasons].map(([name, images]) => (
          <button key={name} type="button" aria-pressed={name === reason} onClick={() => choose(name)}>
            {name === "" ? "all" : name} {count(images)}
          </button>
        ))}
      </p>
      <ul class="pictures">
        {page?.images.map(({ key, reason: why, detail, shard }) => (
          <li key={key}>
            <Picture id={id} of={key} shard={shard} />
            <span class="key">{key}</span>
            <span>{why}</span>
            <span class="quiet">{detail}</span>
          </li>
        ))}
      </ul>
      <Pager after={after} next={page?.next ?? null} go={setAfter} />
    </section>
  );
}
