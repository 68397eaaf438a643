import { readFile } from "node:fs/promises";
import { InvalidArgumentError, type Command } from "commander";
import { parse as parseYaml } from "yaml";
import { TrommelError, messageOf, type RecipeInput } from "@trommel/common";

/** Every recipe flag, typed once: its text, the recipe field it sets, how its value is read. */
interface RecipeFlag {
  readonly flag: string;
  readonly path: readonly string[];
  readonly help: string;
  readonly read: (text: string) => unknown;
}

const text = (value: string): unknown => value;

function number(value: string): number {
  const parsed = Number(value);
  if (value.trim() === "" || !Number.isFinite(parsed)) throw new InvalidArgumentError("it is not a number.");
  return parsed;
}

const recipeFlags: readonly RecipeFlag[] = [
  {
    flag: "--side <pixels>",
    path: ["decode", "side"],
    help: "side of the base image, or auto: the largest input",
    read: (value) => (value === "auto" ? value : number(value)),
  },
  { flag: "--fit <fit>", path: ["decode", "fit"], help: "squash, letterbox or crop", read: text },
  {
    flag: "--views <count>",
    path: ["views", "count"],
    help: "views per image; the first is the picture itself",
    read: number,
  },
  { flag: "--rotation <degrees>", path: ["views", "rotation"], help: "largest rotation", read: number },
  { flag: "--zoom <fraction>", path: ["views", "zoom"], help: "largest zoom", read: number },
  {
    flag: "--validation <fraction>",
    path: ["validation", "fraction"],
    help: "share of each class that validates",
    read: number,
  },
  { flag: "--energy <share>", path: ["svd", "energy"], help: "energy that the SVD keeps", read: number },
  {
    flag: "--step <components>",
    path: ["svd", "step"],
    help: "components are a multiple of this",
    read: number,
  },
  { flag: "--head <type>", path: ["head", "type"], help: "se, linear or mlp", read: text },
  { flag: "--dropout <rate>", path: ["head", "dropout"], help: "dropout of the head", read: number },
  {
    flag: "--epochs <count>",
    path: ["training", "epochs"],
    help: "passes over the training rows",
    read: number,
  },
  { flag: "--batch-size <rows>", path: ["training", "batchSize"], help: "rows per step", read: number },
  {
    flag: "--learning-rate <rate>",
    path: ["training", "optimizer", "learningRate"],
    help: "first learning rate",
    read: number,
  },
  { flag: "--seed <number>", path: ["seed"], help: "decides views, split, weights and order", read: number },
  { flag: "--shard-size <images>", path: ["shardSize"], help: "images per shard", read: number },
  { flag: "--feature-type <type>", path: ["featureType"], help: "f16 or f32", read: text },
];

/** Adds the recipe flags to a command. */
export function addRecipeFlags(command: Command): Command {
  command
    .option("--recipe <file>", "a recipe in YAML; flags win over it")
    .option("--backbone <name>", "a backbone, by name or name@hash; repeat for several", collect, [])
    .option("--centre", "subtract the mean before the SVD")
    .option("--no-svd", "train on the embeddings as they are")
    .option(
      "--set <path=value>",
      "any other recipe field, such as views.shear=5; repeat for several",
      collect,
      [],
    );
  for (const { flag, help, read } of recipeFlags) command.option(flag, help, read);
  return command;
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value];
}

/** The recipe file with the flags laid over it, not yet checked. */
export async function readRecipe(flags: Readonly<Record<string, unknown>>): Promise<RecipeInput> {
  const file = flags["recipe"];
  const base = typeof file === "string" ? await readRecipeFile(file) : {};
  const backbones = flags["backbone"];
  if (Array.isArray(backbones) && backbones.length > 0) base["backbones"] = backbones;
  for (const { flag, path } of recipeFlags) {
    const value = flags[optionName(flag)];
    if (value !== undefined) setPath(base, path, value);
  }
  if (flags["centre"] === true) setPath(base, ["svd", "centre"], true);
  if (flags["svd"] === false) base["svd"] = null;
  for (const assignment of flags["set"] as readonly string[]) {
    const equals = assignment.indexOf("=");
    if (equals < 1) {
      throw new TrommelError(
        "invalid-argument",
        `failed to read --set ${JSON.stringify(assignment)}: it has no '='. Write it as views.shear=5`,
      );
    }
    setPath(base, assignment.slice(0, equals).split("."), parseYaml(assignment.slice(equals + 1)));
  }
  // A head flag alone adjusts the default head.
  const head = base["head"];
  if (typeof head === "object" && head !== null && !("type" in head)) setPath(base, ["head", "type"], "se");
  if (base["backbones"] === undefined) {
    throw new TrommelError(
      "invalid-argument",
      "failed to read the recipe: it names no backbone. Give --backbone, or a --recipe with 'backbones'. 'trommel backbone ls' shows what is there",
    );
  }
  // The schema judges it when the run is created; until then it is only a candidate.
  return base as RecipeInput;
}

async function readRecipeFile(file: string): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = parseYaml(await readFile(file, "utf8"));
  } catch (cause) {
    throw new TrommelError("invalid-argument", `failed to read the recipe ${file}: ${messageOf(cause)}`, {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TrommelError(
      "invalid-argument",
      `failed to read the recipe ${file}: it is not a mapping of fields`,
    );
  }
  return { ...value };
}

function optionName(flag: string): string {
  const long = flag.split(" ")[0]?.replace(/^--/, "") ?? flag;
  return long.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function setPath(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  // A path like __proto__.x must stay a field that the schema refuses.
  const inner = Object.hasOwn(target, name) ? target[name] : undefined;
  if (rest.length === 0) {
    Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true });
    return;
  }
  const child: Record<string, unknown> =
    typeof inner === "object" && inner !== null && !Array.isArray(inner) ? { ...inner } : {};
  Object.defineProperty(target, name, { value: child, enumerable: true, writable: true, configurable: true });
  setPath(child, rest, value);
}
