import { useState } from "preact/hooks";
import { count, percent } from "../format";
import { Picture } from "./failed";

interface Mistake {
  readonly key: string;
  readonly label: string;
  readonly predicted: string;
  readonly probability: number;
}

/** What is used of a bundle's metrics.json, of either kind of head. */
export interface Figures {
  readonly labels?: readonly string[];
  readonly outOfFold?: { readonly confusion: readonly (readonly number[])[] };
  readonly perClass?: readonly { readonly label: string }[];
  readonly confusion?: readonly (readonly number[])[];
  readonly mistakes?: readonly Mistake[];
  readonly chosenBy?: string;
}

/** Larger matrices are in the report. */
const classesAtMost = 40;

/** True against predicted classes; a cell opens the worst mistakes in it. */
export function Confusion({ id, figures }: { readonly id: string; readonly figures: Figures }) {
  const [cell, setCell] = useState<readonly [number, number]>();
  const labels = figures.labels ?? figures.perClass?.map(({ label }) => label) ?? [];
  const matrix = figures.outOfFold?.confusion ?? figures.confusion ?? [];
  const mistakes = figures.mistakes ?? [];
  const [row, column] = cell ?? [];
  const shown = mistakes.filter(
    ({ label, predicted }) =>
      row === undefined || column === undefined || (label === labels[row] && predicted === labels[column]),
  );
  const most = Math.max(1, ...matrix.flat());
  return (
    <section aria-labelledby="mistakes">
      <h2 id="mistakes">Confusion and worst mistakes</h2>
      {figures.chosenBy === undefined || figures.chosenBy === "" ? null : <p>{figures.chosenBy}</p>}
      {labels.length > classesAtMost ? (
        <p>The report has the matrix of {count(labels.length)} classes.</p>
      ) : null}
      {labels.length === 0 || labels.length > classesAtMost ? null : (
        <div class="wide" tabIndex={0} role="region" aria-label="Table of confusions">
          <table class="confusion">
            <caption>Rows are true classes, columns predicted ones. A cell shows its worst mistakes.</caption>
            <thead>
              <tr>
                <td />
                {labels.map((label) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {matrix.map((cells, i) => (
                <tr key={labels[i]}>
                  <th scope="row">{labels[i]}</th>
                  {cells.map((images, j) => (
                    <td key={labels[j]} class={heatOf(images / most)}>
                      {i === j || images === 0 ? (
                        count(images)
                      ) : (
                        <button
                          type="button"
                          aria-pressed={row === i && column === j}
                          aria-label={`${count(images)} ${labels[i] ?? ""} taken for ${labels[j] ?? ""}`}
                          onClick={() => setCell(row === i && column === j ? undefined : [i, j])}
                        >
                          {count(images)}
                        </button>
                      )}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p aria-live="polite">
        {row === undefined || column === undefined
          ? `${count(mistakes.length)} worst mistakes`
          : `${count(shown.length)} of the worst mistakes are ${labels[row] ?? ""} taken for ${labels[column] ?? ""}`}
      </p>
      <ul class="pictures">
        {shown.map(({ key, label, predicted, probability }) => (
          <li key={key}>
            <Picture id={id} of={key} />
            <span class="key">{key}</span>
            <span>
              {label}, taken for {predicted} ({percent(probability)})
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function heatOf(share: number): string {
  return `heat-${Math.ceil(5 * share)}`;
}
