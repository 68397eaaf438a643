import { availableParallelism } from "node:os";
import {
  TrommelError,
  type Device,
  type EngineName,
  type PredictedRow,
  type ScoreFormat,
} from "@trommel/common";
import { printable } from "@trommel/common/printable";
import { resolveScoring, resolveBundle } from "@trommel/coordinator/resolve/resolve-run";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { loadWorkerCommands } from "../../worker-package.js";
import { Session, type ClusterFlags, type GlobalFlags } from "../session.js";
import { exitCodes, type Terminal } from "../terminal.js";

type ScoreFlags = GlobalFlags &
  ClusterFlags &
  FollowFlags & {
    readonly model: string;
    readonly output: string;
    readonly top?: number;
    readonly format?: readonly ScoreFormat[];
    readonly shardSize: number;
  };

/** `trommel score <prefix> --model … --output …` */
export async function score(terminal: Terminal, prefix: string, flags: ScoreFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const { config, claim } = await resolveScoring({
      store: session.store,
      source: session.locate(prefix),
      model: flags.model,
      folder: terminal.io.cwd,
      output: session.locate(flags.output),
      topK: flags.top,
      formats: flags.format,
      shardSize: flags.shardSize,
    });
    await runSubject(session, { kind: "scoring", id: config.id, config }, flags, { claim });
  } finally {
    await session.close();
  }
}

type PredictFlags = GlobalFlags & {
  readonly model: string;
  readonly top?: number;
  readonly format?: "result";
  readonly device?: Device;
  readonly engine?: EngineName;
  readonly threads?: number;
};

/** `trommel predict <files…> --model …` */
export async function predict(terminal: Terminal, files: string[], flags: PredictFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    if (flags.engine === "tfjs") {
      throw new TrommelError(
        "invalid-argument",
        `failed to predict with --engine ${flags.engine}: predict runs a bundle's model.onnx. Leave --engine out`,
      );
    }
    if (flags.format !== undefined && session.json) {
      throw new TrommelError(
        "invalid-argument",
        `failed to predict with --json and --format ${flags.format}: the one prints an object, the other a line per file. Leave one of them out`,
      );
    }
    const bundle = await resolveBundle(session.store, flags.model, terminal.io.cwd);
    const commands = await loadWorkerCommands();
    const predicted = await commands.predict({
      bundle: bundle.location,
      files: files.map((file) => session.path(file)),
      device: flags.device ?? "cpu",
      threads: flags.threads ?? availableParallelism(),
      ...(flags.top === undefined ? {} : { topK: flags.top }),
    });
    const rows = predicted.map((row, i) => ({ ...row, key: files[i] ?? row.key }));
    for (const row of rows) showRow(session, row, flags.format);
    session.result({ model: bundle.location, rows });
    if (rows.some((row) => "error" in row)) session.terminal.exitCode = exitCodes.failed;
  } finally {
    await session.close();
  }
}

function showRow(session: Session, row: PredictedRow, format: "result" | undefined): void {
  if ("error" in row) {
    const line = printable(`${row.key}: failed: ${row.error.reason} (${row.error.detail})`);
    // Lines for machines stay alone on stdout.
    if (format === "result") session.terminal.progress(line);
    else session.say(line);
  } else if (format === "result") {
    session.say(JSON.stringify({ result: row.label, key: row.key }));
  } else {
    const labels = row.top.map(({ label, probability }) => `${label} ${probability.toFixed(4)}`);
    session.say(printable(`${row.key}: ${labels.join(", ")}`));
  }
}
