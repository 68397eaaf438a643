import { InvalidArgumentError, type Command } from "commander";
import { isOfSource } from "./shared-flags.js";
import { TrommelError, type Recipe, type RecipeField, type Recipes } from "../../index.js";

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
  if (value.trim() === "" || !Number.isFinite(parsed)) throw new InvalidArgumentError("It is not a number");
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
    flag: "--normalization <how>",
    path: ["normalization"],
    help: "backbone, dataset, tf, torch, unit or none",
    read: text,
  },
  {
    flag: "--precision <type>",
    path: ["precision"],
    help: "what the backbones compute in: fp32, or fp16 on a GPU",
    read: text,
  },
  {
    flag: "--id-column <name>",
    path: ["labels", "source", "idColumn"],
    help: "column of --labels that names the image (default: id)",
    read: text,
  },
  {
    flag: "--label-column <name>",
    path: ["labels", "source", "labelColumn"],
    help: "column of --labels that names the class (default: label), or of --manifest or --archives (default: none)",
    read: text,
  },
  {
    flag: "--delimiter <character>",
    path: ["labels", "source", "delimiter"],
    help: "what separates the columns of --labels: a character, or tab (default: found)",
    read: text,
  },
  {
    flag: "--encoding <name>",
    path: ["labels", "source", "encoding"],
    help: "how --labels is written, such as windows-1252 (default: UTF-8, or its byte order mark)",
    read: text,
  },
  {
    flag: "--classes <file>",
    path: ["labels", "classes"],
    help: "a file of 'name index' lines that fixes the order of the classes",
    read: text,
  },
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
    help: "share of each class that validates; for a single head",
    read: number,
  },
  {
    flag: "--test <share|file>",
    path: ["split", "test"],
    help: "a part that nothing is fitted on: a share of every class, or a file of keys",
    read: (value) => (Number.isNaN(Number(value)) ? { keys: value } : number(value)),
  },
  {
    flag: "--energy <share>",
    path: ["svd", "energy"],
    help: "energy that the SVD keeps; for a single head",
    read: number,
  },
  {
    flag: "--step <components>",
    path: ["svd", "step"],
    help: "components are a multiple of this; for a single head",
    read: number,
  },
  {
    flag: "--head <type>",
    path: ["head", "type"],
    help: "auto, or a single head: se, linear or mlp",
    read: text,
  },
  {
    flag: "--effort <effort>",
    path: ["head", "effort"],
    help: "how much --head auto tries: quick, default or best",
    read: text,
  },
  { flag: "--dropout <rate>", path: ["head", "dropout"], help: "dropout of a single head", read: number },
  {
    flag: "--epochs <count>",
    path: ["training", "epochs"],
    help: "passes over the training rows; for a single head",
    read: number,
  },
  {
    flag: "--batch-size <rows>",
    path: ["training", "batchSize"],
    help: "rows per step; for a single head",
    read: number,
  },
  {
    flag: "--optimizer <type>",
    path: ["training", "optimizer", "type"],
    help: "adam, adamw, nadam, sgd or lbfgs; for a single head",
    read: text,
  },
  {
    flag: "--learning-rate <rate>",
    path: ["training", "optimizer", "learningRate"],
    help: "first learning rate; for a single head",
    read: number,
  },
  {
    flag: "--schedule <type>",
    path: ["training", "schedule", "type"],
    help: "plateau, constant, cosine or square; for a single head",
    read: text,
  },
  {
    flag: "--keep <epoch>",
    path: ["training", "keep"],
    help: "the epoch that is kept: accuracy, balancedAccuracy, macroF1, loss or last; for a single head",
    read: text,
  },
  { flag: "--seed <number>", path: ["seed"], help: "decides views, split, weights and order", read: number },
  { flag: "--shard-size <images>", path: ["shardSize"], help: "images per shard", read: number },
  { flag: "--feature-type <type>", path: ["featureType"], help: "f16 or f32", read: text },
];

/** Adds the recipe flags to a command. */
export function addRecipeFlags(command: Command): Command {
  command
    .option("--recipe <name|file>", "a built-in recipe, or one in YAML or JSON; flags win over it")
    .option("--backbone <name>", "a backbone, by name or name@hash; repeat for several", collect, [])
    .option("--labels <file>", "a CSV file of labels, instead of what the recipe has")
    .option("--centre", "subtract the mean before the SVD; for a single head")
    .option("--no-svd", "train on the embeddings as they are; for a single head")
    .option(
      "--refit",
      "train a last time on everything, for as many epochs as were kept; for a single head (for auto: --set head.heads=refit)",
    )
    .option("--no-refit", "do not, whatever the recipe says")
    .option("--tune", "train layers of the backbone too (--set tune.<field>=<value> for all it takes)")
    .option(
      "--set <path=value>",
      "any other recipe field, such as views.shear=5; repeat for several",
      collect,
      [],
    );
  for (const { flag, help, read } of recipeFlags) command.option(flag, help, read);
  return command;
}

const collect = (value: string, previous: readonly string[]): string[] => [...previous, value];

/**
 * The recipe of a command: the one that `--recipe` names, with the flags laid over it.
 * @throws TrommelError `invalid-argument`
 */
export async function readRecipe(
  recipes: Recipes,
  flags: Readonly<Record<string, unknown>>,
): Promise<Recipe> {
  const from = flags["recipe"];
  const set = assignmentsOf(recipes, flags);
  return recipes.read({ from: typeof from === "string" ? from : undefined, set });
}

/** In the order in which they are laid over: kinds first, for a change of kind drops the old one's options. */
function assignmentsOf(recipes: Recipes, flags: Readonly<Record<string, unknown>>): RecipeField[] {
  const found: RecipeField[] = [];
  const backbones = flags["backbone"];
  if (Array.isArray(backbones) && backbones.length > 0) found.push({ path: ["backbones"], value: backbones });
  if (typeof flags["labels"] === "string") {
    found.push({ path: ["labels", "source", "type"], value: "csv" });
    found.push({ path: ["labels", "source", "file"], value: flags["labels"] });
  }
  for (const name of ["include", "exclude"])
    if (flags[name] !== undefined) found.push({ path: [name], value: flags[name] });
  for (const { flag, path } of recipeFlags) {
    const value = isOfSource(flags, flag) ? undefined : flags[optionName(flag)];
    if (value !== undefined) found.push({ path, value });
  }
  refuseSvdFlags(flags);
  if (flags["svd"] === false) found.push({ path: ["svd"], value: null });
  if (flags["centre"] === true) found.push({ path: ["svd", "centre"], value: true });
  if (typeof flags["refit"] === "boolean") found.push({ path: ["training", "refit"], value: flags["refit"] });
  // The fields that the recipe has of its own stay.
  if (flags["tune"] === true) found.push({ path: ["tune"], value: {}, ifAbsent: true });
  for (const assignment of flags["set"] as readonly string[]) found.push(readAssignment(recipes, assignment));
  const isKind = ({ path }: RecipeField): boolean => path.at(-1) === "type";
  return [...found.filter(isKind), ...found.filter((assignment) => !isKind(assignment))];
}

/** Neither of the two may win: it would not be what was asked for. */
function refuseSvdFlags(flags: Readonly<Record<string, unknown>>): void {
  const given = ["energy", "step", "centre"].filter((name) => flags[name] !== undefined);
  if (flags["svd"] !== false || given.length === 0) return;
  const named = given.map((name) => `--${name}`).join(", ");
  throw new TrommelError(
    "invalid-argument",
    `cannot use ${named} with --no-svd: without an SVD there is nothing to set. Leave one of them out`,
  );
}

function readAssignment(recipes: Recipes, text: string): RecipeField {
  const equals = text.indexOf("=");
  const refused = (why: string): TrommelError =>
    new TrommelError(
      "invalid-argument",
      `cannot read --set ${JSON.stringify(text)}: ${why}. Write it as views.shear=5`,
    );
  if (equals < 1) throw refused("it has no '='");
  try {
    return { path: text.slice(0, equals).split("."), value: recipes.parseValue(text.slice(equals + 1)) };
  } catch (thrown) {
    throw refused(`its value is no YAML (${thrown instanceof Error ? thrown.message : String(thrown)})`);
  }
}

function optionName(flag: string): string {
  const long = flag.split(" ")[0]?.replace(/^--/, "") ?? flag;
  return long.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
