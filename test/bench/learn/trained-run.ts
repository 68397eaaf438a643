import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { parseJsonAs, runKeys } from "@trommel/common";
import { choice, type Choice } from "@trommel/common/artefacts";
import { importRunBackbonesAt, type Material } from "../material/material.js";
import { trommel } from "../material/trommel-command.js";

export type SettingName = "224 pixels, six views" | "320 pixels, flips";

/** What the bench `learn` trains: the default, and the larger pictures with flips; on one division into folds, which PyTorch gets too. */
export const settings: Readonly<
  Record<SettingName, { readonly side: number; readonly flags: readonly string[] }>
> = {
  "224 pixels, six views": { side: 224, flags: [] },
  "320 pixels, flips": {
    side: 320,
    flags: [
      ...["--views", "4", "--set", "views.flips=[horizontal, vertical, both]"],
      ...["--set", "serving.views=[identity, horizontal, vertical, both]", "--shard-size", "128"],
    ],
  },
};

/** Trains by the command line, with as many workers of one thread as there are threads, unless the run is there. @returns its id */
export async function trainSetting(
  name: SettingName,
  material: Material,
  store: string,
  options: { readonly workers: number; readonly id?: string },
): Promise<string> {
  const { side, flags } = settings[name];
  const id = options.id ?? `learn-${side}`;
  if ((await readdir(path.join(store, "runs")).catch((): string[] => [])).includes(id)) return id;
  const names = side === 224 ? material.runBackbones : await importRunBackbonesAt(store, material, side);
  await trommel(
    ...["train", material.pictures, "--run", id, "--store", store, ...flags],
    ...["--set", "head.repeats=1"],
    ...names.flatMap((backbone) => ["--backbone", backbone]),
    ...["--workers", String(options.workers), "--threads", "1"],
  );
  return id;
}

export async function readRunChoice(store: string, id: string): Promise<Choice> {
  const key = runKeys(id).choice;
  return parseJsonAs(choice, await readFile(path.join(store, key)), key);
}

/** Seconds of the stage `fold`: from the standardization to the last fold's marker. */
export async function foldSeconds(store: string, id: string): Promise<number> {
  const keys = runKeys(id);
  const writtenAt = async (key: string): Promise<number> => (await stat(path.join(store, key))).mtimeMs;
  const folder = path.dirname(keys.fold(0));
  const folds = await readdir(path.join(store, folder));
  const ends = await Promise.all(folds.map((name) => writtenAt(`${folder}/${name}`)));
  return (Math.max(...ends) - (await writtenAt(`${keys.standardization}.json`))) / 1000;
}
