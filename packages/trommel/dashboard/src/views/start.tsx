import { useEffect, useState } from "preact/hooks";
import { act, ask, wordsOf } from "../api";
import type { Live } from "../live";

interface Recipes {
  readonly recipes: readonly { readonly name: string; readonly description: string }[];
}

/** Starts a training by a built-in recipe, or a scoring by a finished run. */
export function StartView({ live, mayAct }: { readonly live: Live; readonly mayAct: boolean }) {
  const [recipes, setRecipes] = useState<Recipes["recipes"]>([]);
  const [said, setSaid] = useState("");
  useEffect(
    () =>
      void ask<Recipes>("/recipes").then(
        (found) => setRecipes(found.recipes),
        () => undefined,
      ),
    [],
  );
  const models = [...live.runs.values()].filter(({ kind, phase }) => kind === "run" && phase === "complete");
  const submit = (path: string) => (event: SubmitEvent) => {
    event.preventDefault();
    const given = [...new FormData(event.currentTarget as HTMLFormElement)].filter(
      ([, value]) => value !== "",
    );
    act<{ readonly id: string }>(path, Object.fromEntries(given)).then(
      ({ id }) => (location.hash = `#/run/${encodeURIComponent(id)}`),
      (thrown: unknown) => setSaid(wordsOf(thrown)),
    );
  };
  return (
    <>
      <h1>Start</h1>
      {mayAct ? null : <p>Log in with the token to start anything.</p>}
      <p>Folders and buckets lie under the roots that the server was started with.</p>
      <p role="alert">{said}</p>
      <form class="fields" onSubmit={submit("/trainings")}>
        <h2>Training</h2>
        <Field name="source" title="Labelled images" isRequired />
        <Choice name="recipe" title="Recipe" values={recipes.map(({ name }) => name)} />
        <Field name="id" title="Id (from what it is, if empty)" />
        <button>Train</button>
      </form>
      <form class="fields" onSubmit={submit("/scorings")}>
        <h2>Scoring</h2>
        <Field name="source" title="Images" isRequired />
        <Choice name="model" title="Model" values={models.map(({ id }) => id)} />
        <Field name="output" title="Place of the scores" isRequired />
        <button>Score</button>
      </form>
    </>
  );
}

function Choice({
  name,
  title,
  values,
}: {
  readonly name: string;
  readonly title: string;
  readonly values: readonly string[];
}) {
  return (
    <label>
      {title}
      <select name={name} required>
        {values.map((value) => (
          <option key={value}>{value}</option>
        ))}
      </select>
    </label>
  );
}

function Field({
  name,
  title,
  isRequired = false,
}: {
  readonly name: string;
  readonly title: string;
  readonly isRequired?: boolean;
}) {
  return (
    <label>
      {title}
      <input name={name} required={isRequired} autocomplete="off" spellcheck={false} />
    </label>
  );
}
