import { useState } from "preact/hooks";
import { act, pathOf, wordsOf } from "../api";
import { percent } from "../format";
import type { Live } from "../live";

interface Answer {
  readonly label?: string;
  readonly top?: readonly { readonly label: string; readonly probability: number }[];
  readonly error?: { readonly reason: string; readonly message: string };
}

interface Tried {
  readonly name: string;
  readonly url: string;
  readonly answer?: Answer;
  readonly fault?: string;
}

/** Pictures that are dropped here are classified one after another; none is kept. */
export function TryView({ live, mayAct }: { readonly live: Live; readonly mayAct: boolean }) {
  const models = [...live.runs.values()].filter(({ kind, phase }) => kind === "run" && phase === "complete");
  const [model, setModel] = useState("");
  const [tried, setTried] = useState<readonly Tried[]>([]);
  const chosen = model === "" ? (models[0]?.id ?? "") : model;
  const tryAll = async (files: FileList | null | undefined): Promise<void> => {
    for (const file of files ?? []) {
      const shown = { name: file.name, url: URL.createObjectURL(file) };
      const said = await act<Answer>(pathOf(chosen, "/predict"), file).then(
        (answer): Tried => ({ ...shown, answer }),
        (thrown: unknown): Tried => ({ ...shown, fault: wordsOf(thrown) }),
      );
      setTried((before) => [said, ...before].slice(0, 60));
    }
  };
  if (models.length === 0)
    return (
      <>
        <h1>Try a model</h1>
        <p>No finished training yet.</p>
      </>
    );
  return (
    <>
      <h1>Try a model</h1>
      {mayAct ? null : <p>Log in with the token to try pictures.</p>}
      <label>
        Model{" "}
        <select value={chosen} onChange={(event) => setModel(event.currentTarget.value)}>
          {models.map(({ id }) => (
            <option key={id}>{id}</option>
          ))}
        </select>
      </label>
      <div
        class="drop"
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => {
          event.preventDefault();
          void tryAll(event.dataTransfer?.files);
        }}
      >
        <label>
          Drop pictures here, or choose them{" "}
          <input
            type="file"
            accept="image/*"
            multiple
            onChange={(event) => void tryAll(event.currentTarget.files)}
          />
        </label>
      </div>
      <ul class="pictures" aria-live="polite">
        {tried.map(({ name, url, answer, fault }) => (
          <li key={url}>
            <img src={url} alt="" width={160} height={120} />
            <span class="key">{name}</span>
            <span>{answer?.label ?? answer?.error?.message ?? fault}</span>
            {answer?.top?.map(({ label, probability }) => (
              <span key={label} class="quiet">
                {label} {percent(probability)}
              </span>
            ))}
          </li>
        ))}
      </ul>
    </>
  );
}
