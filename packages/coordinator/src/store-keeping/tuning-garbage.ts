import { runKeys, type ObjectInfo, type ObjectStore } from "@trommel/common";
import { keptRound, readRoundFigures } from "@trommel/common/artefacts";
import { listSubjects } from "../run-control/list-subjects.js";
import { findSubject } from "../run-control/subject.js";
import type { Found } from "./garbage.js";
import { groups } from "./object-groups.js";

/**
 * What merges that were killed have left: changes of rounds that are merged, and checkpoints but the last two and the one that is the
 * tuned backbone. Those stay with their run, because other runs may continue from them.
 */
export async function* tuningGarbage(store: ObjectStore): AsyncGenerator<Found> {
  for (const { kind, id } of await listSubjects(store)) {
    if (kind !== "run") continue;
    const subject = await findSubject(store, id);
    const tune = subject.kind === "run" ? subject.config.recipe.tune : null;
    if (tune === null) continue;
    const { changes, checkpoints, checkpoint } = runKeys(id).tuning;
    const figures = await readRoundFigures(store, id);
    const merged = figures.length;
    const numberOf = (key: string): number =>
      Number(/(\d+)(?:-\d+)?\.safetensors(?:\.json)?$/.exec(key)?.[1]);
    const nameOf = (key: string): string => key.replace(/\.json$/, "");
    for await (const { objects, name } of groups(store, changes, nameOf))
      if (numberOf(name) < merged) yield superseded(objects);
    const kept = new Set([merged - 1, merged, keptRound(figures, tune.keep) + 1].map(checkpoint));
    for await (const { objects, name } of groups(store, checkpoints, nameOf))
      if (numberOf(name) < merged && !kept.has(name)) yield superseded(objects);
  }
}

/** In the listing data come before their marker. */
function superseded(objects: readonly ObjectInfo[]): Found {
  return { kind: "tuning", objects: objects.toReversed() };
}
