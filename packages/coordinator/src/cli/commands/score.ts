import { availableParallelism } from "node:os";
import { TrommelError, type Device, type EngineName, type ScoreFormat } from "@trommel/common";
import { resolveScoring, resolveBundle } from "../../run-control/resolve-run.js";
import { runSubject, type FollowFlags } from "../run-subject.js";
import { loadWorkerCommands, Session, type ClusterFlags, type GlobalFlags } from "../session.js";

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
export async function score(prefix: string, flags: ScoreFlags): Promise<void> {
  const session = new Session(flags);
  try {
    const { config, claim } = await resolveScoring({
      store: session.store,
      source: prefix,
      model: flags.model,
      output: flags.output,
      topK: flags.top,
      formats: flags.format,
      shardSize: flags.shardSize,
    });
    await runSubject(session, { kind: "scoring", id: config.id, config }, flags, claim);
  } finally {
    await session.close();
  }
}

type PredictFlags = GlobalFlags & {
  readonly model: string;
  readonly top?: number;
  readonly device?: Device;
  readonly engine?: EngineName;
  readonly threads?: number;
};

/** `trommel predict <files…> --model …` */
export async function predict(files: string[], flags: PredictFlags): Promise<void> {
  const session = new Session(flags);
  try {
    if (flags.engine === "tfjs") {
      throw new TrommelError(
        "invalid-argument",
        `failed to predict with --engine ${flags.engine}: predict runs a bundle's model.onnx. Leave --engine out`,
      );
    }
    const bundle = await resolveBundle(session.store, flags.model);
    const commands = await loadWorkerCommands();
    const rows = await commands.predict({
      bundle: bundle.location,
      files,
      device: flags.device ?? "cpu",
      threads: flags.threads ?? availableParallelism(),
      ...(flags.top === undefined ? {} : { topK: flags.top }),
    });
    for (const row of rows) {
      session.say(
        "error" in row
          ? `${row.key}: failed: ${row.error.reason} (${row.error.detail})`
          : describe(row.key, row.top),
      );
    }
    session.result({ model: bundle.location, rows });
    if (rows.some((row) => "error" in row)) process.exitCode = 1;
  } finally {
    await session.close();
  }
}

function describe(key: string, top: readonly { label: string; probability: number }[]): string {
  return `${key}: ${top.map(({ label, probability }) => `${label} ${probability.toFixed(4)}`).join(", ")}`;
}
