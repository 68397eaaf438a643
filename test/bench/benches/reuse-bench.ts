import { copyFile, cp, mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { labelledFiles, type Material } from "../material/material.js";
import type { BenchResult, BenchSetting } from "../result.js";
import { trommel } from "../material/trommel-command.js";

const workers = 2;
/** One picture in eleven comes later: a tenth of those that are there at first. */
const laterEvery = 11;
/** One picture in twenty is labelled anew. */
const relabelledEvery = 20;

const trained = z.object({
  accuracy: z.number(),
  extraction: z.object({ extracted: z.int(), reused: z.int() }),
});

interface Training extends z.infer<typeof trained> {
  readonly what: string;
  readonly seconds: number;
  /** Images that are new, and have to be extracted. */
  readonly fresh: number;
}

/**
 * What a dataset costs that is trained on again, by the command line and in a store that has nothing but backbones: with one
 * picture in twenty labelled anew, with another head, and with a tenth more pictures.
 */
export async function benchReuse(
  material: Material,
  store: string,
  setting: BenchSetting,
): Promise<BenchResult> {
  const pictures = path.join(setting.folder, "pictures");
  const own = path.join(setting.folder, "store");
  await cp(path.join(store, "backbones"), path.join(own, "backbones"), { recursive: true });
  const all = await labelledFiles(material.pictures);
  const later = all.filter((_, index) => index % laterEvery === laterEvery - 1);
  const early = all.filter((_, index) => index % laterEvery !== laterEvery - 1);
  await copyFiles(material.pictures, pictures, early);
  const table = path.join(setting.folder, "labels.csv");
  await writeFile(table, relabelled(early));
  const csv = ["--labels", table, "--id-column", "image", "--label-column", "label"];

  const trainings = [
    await train("first", early.length),
    await train("relabelled", 0, ...csv),
    await train("another head", 0, "--head", "linear"),
  ];
  await copyFiles(material.pictures, pictures, later);
  trainings.push(await train("a tenth more", later.length));
  return { measured: { trainings }, rows: trainings.flatMap(rowsOf) };

  async function train(what: string, fresh: number, ...flags: string[]): Promise<Training> {
    const start = Date.now();
    const printed = await trommel(
      ...["train", pictures, "--backbone", material.backbone, "--run", `bench-${what.replaceAll(" ", "-")}`],
      ...["--workers", String(workers), "--store", own, ...flags],
    );
    const seconds = (Date.now() - start) / 1000;
    const { accuracy, extraction } = trained.parse(printed);
    const { extracted, reused } = extraction;
    setting.say(`${what}: ${extracted} extracted, ${reused} reused, ${seconds.toFixed(1)} s`);
    return { what, seconds, fresh, accuracy, extraction };
  }

  function rowsOf({ what, seconds, fresh, extraction }: Training): BenchResult["rows"] {
    const first = trainings[0]?.seconds ?? Number.NaN;
    return [
      {
        what: `reuse: ${what}, images extracted (reused)`,
        value: `${extraction.extracted} (${extraction.reused})`,
        target: String(fresh),
        reached: extraction.extracted === fresh,
      },
      {
        what: `reuse: ${what}, the command train, whole, s (of the first)`,
        value: `${seconds.toFixed(1)} (${(seconds / first).toFixed(2)})`,
      },
    ];
  }
}

/** A table of the pictures' own labels, but that of one in twenty is the next class's. */
function relabelled(files: readonly string[]): string {
  const labels = [...new Set(files.map((file) => path.dirname(file)))];
  const rows = files.map((file, index) => {
    const label = labels.indexOf(path.dirname(file)) + (index % relabelledEvery === 0 ? 1 : 0);
    return `${file},${labels[label % labels.length]}`;
  });
  return `image,label\n${rows.join("\n")}\n`;
}

async function copyFiles(from: string, to: string, files: readonly string[]): Promise<void> {
  for (const file of files) {
    await mkdir(path.join(to, path.dirname(file)), { recursive: true });
    await copyFile(path.join(from, file), path.join(to, file));
  }
}
