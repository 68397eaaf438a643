import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { openStore, resolveLocation } from "@trommel/common";
import { foldUnits } from "@trommel/common/artefacts";
import { autoHeadOf, candidatesOf } from "@trommel/common/recipe";
import { FoldRows, hashShare } from "#gpu-worker/stages/folding/fold-rows";
import { readFoldSplit } from "#gpu-worker/stages/folding/fold-split";
import { servedViews } from "#gpu-worker/stages/folding/predict-part";
import { readStandardization } from "#gpu-worker/stages/folding/standardization";
import { stageContext } from "./run-stages.js";
import { readConfig } from "./stored-run.js";

/**
 * Writes a run's standardised rows with its folds, candidates and jobs for the scripts in peers: `rows.f32` [rows, dimension],
 * `row_image.i32` and `row_view.i32` [rows], `label.i32`, `fold.i32` and `curve.f64` [images] (an image is trained on at a
 * share of the learning curve if its number is below the share), and `setting.json`.
 */
export async function exportRows(storeFolder: string, run: string, folder: string): Promise<void> {
  const store = openStore(resolveLocation(storeFolder));
  const context = stageContext(store);
  const config = await readConfig(store, run);
  const split = await readFoldSplit(store, run);
  const rows = await FoldRows.open(config, split, await readStandardization(store, run), context);
  const values: Buffer[] = [];
  const [rowImage, rowView, label, fold, curve]: number[][] = [[], [], [], [], []] as number[][];
  for await (const row of rows.each()) {
    if (row.view === 0) {
      label?.push(row.label);
      fold?.push(row.part);
      curve?.push(hashShare("learning curve", config.recipe.seed, row.key));
    }
    rowImage?.push((label?.length ?? 0) - 1);
    rowView?.push(row.view);
    values.push(Buffer.from(Float32Array.from(row.values).buffer));
  }
  store.close();
  const head = autoHeadOf(config);
  const setting = {
    dimension: rows.dimension,
    classes: rows.labels.length,
    folds: split.folds,
    servedViews: servedViews(config.recipe),
    candidates: candidatesOf(head),
    units: foldUnits(head, split),
  };
  await mkdir(folder, { recursive: true });
  const put = (name: string, bytes: Uint8Array): Promise<void> => writeFile(path.join(folder, name), bytes);
  const bytesOf = (of: ArrayBufferView): Buffer => Buffer.from(of.buffer, of.byteOffset, of.byteLength);
  await put("rows.f32", Buffer.concat(values));
  await put("row_image.i32", bytesOf(Int32Array.from(rowImage ?? [])));
  await put("row_view.i32", bytesOf(Int32Array.from(rowView ?? [])));
  await put("label.i32", bytesOf(Int32Array.from(label ?? [])));
  await put("fold.i32", bytesOf(Int32Array.from(fold ?? [])));
  await put("curve.f64", bytesOf(Float64Array.from(curve ?? [])));
  await put("setting.json", Buffer.from(JSON.stringify(setting)));
}
