import {
  bundleFiles,
  openStore,
  outputKeys,
  runKeys,
  subjectKeys,
  TrommelError,
  type StopReason,
} from "@trommel/common";
import { sortedKeys } from "@trommel/common/artefacts";
import type { SubjectKind } from "@trommel/common/jobs";
import {
  findSubject,
  listSubjects,
  readStatus,
  type RunStatus,
  type Subject,
} from "@trommel/coordinator/run-control";
import type { Connections } from "./connections.js";

/** When work was begun and ended, by the store's clock. */
export interface WorkTimes {
  /** When its configuration was written: ISO 8601 in UTC, to the second. Absent where the store does not say. */
  readonly startedAt?: string;
  /** When its result was written; absent until then. */
  readonly endedAt?: string;
}

/** A run, scoring or sorting whose own files cannot be read. */
export interface DamagedWork extends WorkTimes {
  readonly kind: SubjectKind;
  readonly id: string;
  readonly phase: "damaged";
  readonly error: StopReason;
}

/** A run, scoring or sorting of the store, and how it is. */
export type ListedWork = (RunStatus & WorkTimes) | DamagedWork;

/** Every run, scoring and sorting of a store, in order of their ids. */
export async function listWorks(connections: Connections): Promise<ListedWork[]> {
  const { store } = connections;
  const found: ListedWork[] = [];
  for (const { id, kind } of await listSubjects(store)) {
    try {
      const subject = await findSubject(store, id);
      found.push(await statusWithTimes(connections, subject));
    } catch (thrown) {
      if (!(thrown instanceof TrommelError) || thrown.code !== "corrupt") throw thrown;
      const { code, message } = thrown;
      found.push({ kind, id, phase: "damaged", error: { code, message, stage: "" } });
    }
  }
  return found;
}

/** How a run is, and when it began and ended. */
export async function statusWithTimes(
  connections: Connections,
  subject: Subject,
): Promise<RunStatus & WorkTimes> {
  const status = await readStatus(connections.store, subject, await connections.producerOf(subject));
  return { ...status, ...(await timesOf(connections, subject, status.result !== undefined)) };
}

async function timesOf({ store }: Connections, subject: Subject, complete: boolean): Promise<WorkTimes> {
  const { config } = subjectKeys(subject);
  const startedAt = isoOf((await store.head(config))?.modifiedSeconds);
  const endedAt = complete ? isoOf(await endedSeconds(store, subject)) : undefined;
  return {
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
  };
}

async function endedSeconds(store: Connections["store"], subject: Subject): Promise<number | undefined> {
  if (subject.kind === "run")
    return (await store.head(`${runKeys(subject.id).bundle}/${bundleFiles.manifest}`))?.modifiedSeconds;
  const [place, key] =
    subject.kind === "scoring"
      ? [subject.config.output, outputKeys.success]
      : [subject.config.into, sortedKeys(subject.id).ledger];
  const output = openStore(place);
  try {
    return (await output.head(key))?.modifiedSeconds;
  } finally {
    output.close();
  }
}

function isoOf(seconds: number | undefined): string | undefined {
  return seconds === undefined ? undefined : new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
