import { useState } from "preact/hooks";
import { pathOf } from "../api";
import { count, percent } from "../format";
import { Pager, perPage, Picture, usePage } from "./pictures";

/** An image as it was predicted. */
export interface Prediction {
  readonly key: string;
  readonly shard?: number;
  readonly label: string;
  readonly predicted: string;
  readonly probability: number;
}

interface Page {
  readonly total: number;
  readonly images: readonly Prediction[];
  readonly next: number | null;
}

/** The images of a cell of the confusion matrix, a page at a time; where no predictions were kept, the worst mistakes in it. */
export function Cell({
  id,
  label,
  predicted,
  mistakes,
}: {
  readonly id: string;
  readonly label: string;
  readonly predicted: string;
  readonly mistakes: readonly Prediction[];
}) {
  const [after, setAfter] = useState(0);
  const query = { true: label, predicted, limit: String(perPage), after: String(after) };
  const { page, said } = usePage<Page>(pathOf(id, "/predictions", query));
  const named = label === predicted ? `${label}, predicted as such` : `${label} taken for ${predicted}`;
  if (said !== "" && page === undefined) {
    const own = mistakes.filter((one) => one.label === label && one.predicted === predicted);
    return (
      <>
        <p aria-live="polite">{`${count(own.length)} of the worst mistakes are ${named}`}</p>
        <p class="quiet">{said}</p>
        <Predictions id={id} images={own} />
      </>
    );
  }
  if (page === undefined) return <p aria-live="polite">Looking…</p>;
  const last = after + page.images.length;
  return (
    <>
      <p aria-live="polite">{`${count(after + 1)} to ${count(last)} of ${count(page.total)} images: ${named}`}</p>
      <p role="alert">{said}</p>
      <Predictions id={id} images={page.images} />
      <Pager after={after} next={page.next} go={setAfter} />
    </>
  );
}

/** Pictures with what they are and what they were taken for. */
export function Predictions({ id, images }: { readonly id: string; readonly images: readonly Prediction[] }) {
  return (
    <ul class="pictures">
      {images.map(({ key, shard, label, predicted, probability }) => (
        <li key={key}>
          <Picture id={id} of={key} {...(shard === undefined ? {} : { shard })} />
          <span class="key">{key}</span>
          <span>
            {label === predicted ? label : `${label}, taken for ${predicted}`} ({percent(probability)})
          </span>
        </li>
      ))}
    </ul>
  );
}
