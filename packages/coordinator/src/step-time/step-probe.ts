import { TrommelError, type ObjectStore, type RunConfig } from "@trommel/common";
import type { StepProbe } from "@trommel/common/jobs";

/** What a worker is asked of a run that tunes. @param untilMs as {@link StepProbe} has it */
export function stepProbeOf(
  store: ObjectStore,
  { id, recipe, backbones, side }: RunConfig,
  { classCount, untilMs }: Pick<StepProbe, "classCount" | "untilMs">,
): StepProbe {
  const { tune, views } = recipe;
  const [backbone] = backbones;
  if (tune === null || backbone === undefined)
    throw new TrommelError("internal", `cannot measure a step of ${id}: its recipe tunes nothing`);
  return { storeUrl: store.url, backbone: backbone.id, side, classCount, tune, views, untilMs };
}
