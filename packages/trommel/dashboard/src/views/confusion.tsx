import { useState } from "preact/hooks";
import { count } from "../format";
import { Cell, Predictions, type Prediction } from "./cell";

/** What is used of a bundle's metrics.json, of either kind of head. */
export interface Figures {
  readonly labels?: readonly string[];
  readonly outOfFold?: { readonly confusion: readonly (readonly number[])[] };
  readonly perClass?: readonly { readonly label: string }[];
  readonly confusion?: readonly (readonly number[])[];
  readonly mistakes?: readonly Prediction[];
  readonly chosenBy?: string;
}

/** Larger matrices are in the report. */
const classesAtMost = 40;

/** True against predicted classes; a cell opens its images. */
export function Confusion({ id, figures }: { readonly id: string; readonly figures: Figures }) {
  const [cell, setCell] = useState<readonly [number, number]>();
  const labels = figures.labels ?? figures.perClass?.map(({ label }) => label) ?? [];
  const matrix = figures.outOfFold?.confusion ?? figures.confusion ?? [];
  const mistakes = figures.mistakes ?? [];
  const [row, column] = cell ?? [];
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
            <caption>Rows are true classes, columns predicted ones. A cell shows its images.</caption>
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
                      {images === 0 ? (
                        count(images)
                      ) : (
                        <button
                          type="button"
                          aria-pressed={row === i && column === j}
                          aria-label={nameOf(images, labels[i] ?? "", labels[j] ?? "")}
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
      {row === undefined || column === undefined ? (
        <>
          <p aria-live="polite">{`${count(mistakes.length)} worst mistakes`}</p>
          <Predictions id={id} images={mistakes} />
        </>
      ) : (
        <Cell
          key={`${row} ${column}`}
          id={id}
          label={labels[row] ?? ""}
          predicted={labels[column] ?? ""}
          mistakes={mistakes}
        />
      )}
    </section>
  );
}

function nameOf(images: number, label: string, predicted: string): string {
  const what = label === predicted ? `${label} predicted as such` : `${label} taken for ${predicted}`;
  return `${count(images)} ${what}`;
}

function heatOf(share: number): string {
  return `heat-${Math.ceil(5 * share)}`;
}
