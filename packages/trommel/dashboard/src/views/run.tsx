import { useEffect, useState } from "preact/hooks";
import { act, ask, pathOf, wordsOf, type Run } from "../api";
import { count, percent, time } from "../format";
import type { Live } from "../live";
import { Confusion, type Figures } from "./confusion";
import { Failed } from "./failed";
import { Phase, StageBar } from "./runs";

interface Detail extends Run {
  readonly result: { readonly ledger?: Readonly<Record<string, unknown>>; readonly location?: string } | null;
  readonly reportPath: string | null;
  readonly source: string | null;
  readonly output: string | null;
}

/** One run: its stages, what can be done, and what came of it. */
export function RunView({
  id,
  live,
  mayAct,
}: {
  readonly id: string;
  readonly live: Live;
  readonly mayAct: boolean;
}) {
  const [detail, setDetail] = useState<Detail>();
  const [figures, setFigures] = useState<Figures>();
  const [said, setSaid] = useState("");
  const now = live.runs.get(id);
  const phase = now?.phase ?? detail?.phase ?? "";
  useEffect(() => {
    ask<Detail>(pathOf(id, "")).then(
      (found) => {
        setDetail(found);
        setSaid("");
        if (found.kind === "run" && found.phase === "complete")
          void ask<Figures>(pathOf(id, "/metrics")).then(setFigures, () => undefined);
      },
      (thrown: unknown) => setSaid(wordsOf(thrown)),
    );
  }, [id, phase]);
  const run = now ?? detail;
  if (run === undefined) return <p role="alert">{said === "" ? "Looking…" : said}</p>;
  const isGone = now === undefined && live.isOpen && live.left === 0;
  return (
    <>
      <h1>
        {id} <Phase phase={isGone ? "removed" : phase} />
      </h1>
      {isGone ? <p class="fault">It was removed from the store.</p> : null}
      {run.error === null ? null : <p class="fault">{run.error.message}</p>}
      <Actions run={run} mayAct={mayAct} say={setSaid} />
      <p role="alert">{said}</p>
      {run.stages.length === 0 ? null : (
        <section aria-labelledby="stages">
          <h2 id="stages">Stages</h2>
          {run.stages.map((stage) => (
            <StageBar key={stage.stage} stage={stage} />
          ))}
        </section>
      )}
      {detail === undefined ? null : <Facts run={run} detail={detail} />}
      {figures === undefined ? null : <Confusion id={id} figures={figures} />}
      {run.failedImages > 0 && run.kind !== "sorting" ? <Failed id={id} failed={run.failedImages} /> : null}
    </>
  );
}

function Facts({ run, detail }: { readonly run: Run; readonly detail: Detail }) {
  const rows = [
    ["Images", run.images === null ? null : count(run.images)],
    ["Failed", run.failedImages === 0 ? null : count(run.failedImages)],
    ["Accuracy", run.accuracy === null ? null : percent(run.accuracy)],
    ["Source", detail.source],
    ["Output", detail.output],
    ["Started", time(run.startedAt)],
    ["Ended", time(run.endedAt)],
  ].filter((row): row is [string, string] => row[1] !== null && row[1] !== "");
  return (
    <section aria-labelledby="facts">
      <h2 id="facts">Facts</h2>
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {detail.reportPath === null ? null : (
        <p>
          <a href={detail.reportPath} target="_blank" rel="noopener">
            Report
          </a>{" "}
          · <a href={`/api/v1${pathOf(run.id, "/file", { name: "model.onnx" })}`}>model.onnx</a>
        </p>
      )}
      {run.kind === "scoring" && run.phase === "complete" ? (
        <p>
          <a href={`/api/v1${pathOf(run.id, "/scores")}`} download={`${run.id}.jsonl`}>
            Scores as JSON lines
          </a>
        </p>
      ) : null}
    </section>
  );
}

function Actions({
  run: { id, phase, failedImages, kind },
  mayAct,
  say,
}: {
  readonly run: Run;
  readonly mayAct: boolean;
  readonly say: (words: string) => void;
}) {
  const actions = [
    phase === "running" ? (["pause", "Pause"] as const) : undefined,
    phase === "paused" ? (["unpause", "Continue"] as const) : undefined,
    ["running", "paused"].includes(phase) ? (["cancel", "Cancel"] as const) : undefined,
    ["failed", "cancelled", "stopped"].includes(phase) ? (["resume", "Resume"] as const) : undefined,
    phase === "complete" && failedImages > 0 && kind !== "sorting"
      ? (["retry", "Retry failed images"] as const)
      : undefined,
  ].filter((action) => action !== undefined);
  if (actions.length === 0) return null;
  const send = (action: string): void =>
    void act<{ readonly id: string | null }>(pathOf(id, `/${action}`)).then(
      (answer) => say(answer.id === null || answer.id === id ? `${action}: done` : `${action}: ${answer.id}`),
      (thrown: unknown) => say(wordsOf(thrown)),
    );
  return (
    <p class="actions">
      {actions.map(([action, title]) => (
        <button key={action} type="button" onClick={() => send(action)}>
          {title}
        </button>
      ))}
      {mayAct ? null : <span class="quiet">needs the token</span>}
    </p>
  );
}
