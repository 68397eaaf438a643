import { useState } from "preact/hooks";
import type { Run } from "../api";
import { count, duration, percent, rate, time } from "../format";
import type { Live } from "../live";

const kindNames = { run: "training", scoring: "scoring", sorting: "sorting" } as const;

/** Every run, those that are worked on first. */
export function RunsView({ live }: { readonly live: Live }) {
  const [text, setText] = useState("");
  const runs = [...live.runs.values()].filter(({ id, kind, phase }) =>
    `${id} ${kindNames[kind]} ${phase}`.includes(text.trim()),
  );
  runs.sort((a, b) => rankOf(b).localeCompare(rankOf(a)));
  return (
    <>
      <h1>Runs</h1>
      <label class="filter">
        Filter <input type="search" value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      {runs.length === 0 ? <p>{live.runs.size === 0 ? "No run yet." : "No run has that in it."}</p> : null}
      <ul class="runs">
        {runs.map((run) => (
          <li key={run.id}>
            <RunLine run={run} />
          </li>
        ))}
      </ul>
      {live.left > 0 ? <p>{count(live.left)} earlier ones are left out: the API lists them all.</p> : null}
    </>
  );
}

function rankOf({ phase, startedAt, id }: Run): string {
  return `${phase === "running" ? 1 : 0} ${startedAt ?? ""} ${id}`;
}

function RunLine({ run }: { readonly run: Run }) {
  const { id, kind, phase, images, failedImages, accuracy, startedAt, stages } = run;
  const current = stages.find(({ done, total }) => done < total) ?? stages.at(-1);
  const facts = [
    kindNames[kind],
    images === null ? "" : `${count(images)} images`,
    failedImages === 0 ? "" : `${count(failedImages)} failed`,
    accuracy === null ? "" : `accuracy ${percent(accuracy)}`,
    time(startedAt),
  ].filter((fact) => fact !== "");
  return (
    <>
      <p class="line">
        <a href={`#/run/${encodeURIComponent(id)}`}>{id}</a>
        <Phase phase={phase} />
        <span class="quiet">{facts.join(" · ")}</span>
      </p>
      {phase === "running" && current !== undefined ? <StageBar stage={current} /> : null}
      {run.error === null ? null : <p class="fault">{run.error.message}</p>}
    </>
  );
}

export function Phase({ phase }: { readonly phase: string }) {
  return <span class={`phase ${phase}`}>{phase}</span>;
}

export function StageBar({ stage }: { readonly stage: Run["stages"][number] }) {
  const { stage: name, done, total, unit, perSecond, secondsLeft, failed, note } = stage;
  const facts = [
    `${count(done)} of ${count(total)} ${unit}`,
    perSecond === null ? "" : `${rate(perSecond)} a second`,
    secondsLeft === null || done >= total ? "" : `${duration(secondsLeft)} left`,
    failed === 0 ? "" : `${count(failed)} failed`,
    note,
  ].filter((fact) => fact !== "");
  return (
    <div class="stage">
      <span class="stage-name">{name}</span>
      <progress aria-label={`${name} of its ${unit}`} value={done} max={Math.max(1, total)} />
      <span class="quiet">{facts.join(" · ")}</span>
    </div>
  );
}
