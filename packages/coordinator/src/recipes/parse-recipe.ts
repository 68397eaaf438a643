import {
  canonicalJson,
  labelSource,
  optimizerRecipe,
  parseAs,
  placeOfFault,
  recipe as recipeSchema,
  scheduleRecipe,
  TrommelError,
  type Recipe,
} from "@trommel/common";
import { outerRecipe, recipeHead, tuningOptimizerRecipe } from "@trommel/common/recipe";
import type { LineOf } from "./parse-yaml.js";
import { fieldAt, isAbsent, isMapping } from "./recipe-path.js";

/** The fields in which a recipe chooses one of several kinds, each with its own options. */
const choices = [
  { path: ["head"], noun: "head", options: optionsOf(recipeHead) },
  { path: ["training", "optimizer"], noun: "optimizer", options: optionsOf(optimizerRecipe) },
  { path: ["training", "schedule"], noun: "schedule", options: optionsOf(scheduleRecipe) },
  { path: ["labels", "source"], noun: "label source", options: optionsOf(labelSource) },
  { path: ["tune", "optimizer"], noun: "optimizer", options: optionsOf(tuningOptimizerRecipe) },
  { path: ["tune", "schedule"], noun: "schedule", options: optionsOf(scheduleRecipe) },
  { path: ["tune", "outer"], noun: "outer optimizer", options: optionsOf(outerRecipe) },
] as const;

/** With everything that a recipe may leave out. */
const defaults = recipeSchema.parse({ backbones: ["any"], tune: {} });

/**
 * Parses a written recipe and fills its defaults in.
 * @param what its name in messages
 * @param lineOf the lines of its fields, for messages
 * @throws TrommelError `invalid-argument` with every fault and its path; an option of another kind of head (optimiser,
 *   schedule, label source) is reported with the kind's own options
 */
export function parseRecipe(written: unknown, what: string, lineOf: LineOf = () => undefined): Recipe {
  for (const { path, noun, options } of choices) {
    const choice = fieldAt(written, path);
    if (!isMapping(choice)) continue;
    const type = Object.hasOwn(choice, "type") ? choice["type"] : typeOf(fieldAt(defaults, path));
    const legal = typeof type === "string" ? options.get(type) : undefined;
    if (typeof type !== "string" || legal === undefined)
      throw unknownKind(`${what}${lineText(lineOf([...path, "type"]))}`, path, noun, type, options);
    const misfits = Object.keys(choice).filter((name) => name !== "type" && !legal.includes(name));
    const place = `${what}${lineText(lineOf([...path, misfits[0] ?? ""]))}`;
    if (misfits.length > 0) throw misfit({ what: place, path, noun, type, misfits, legal, options });
  }
  const result = recipeSchema.safeParse(written);
  if (result.success) {
    refuseUnused(written, what, lineOf);
    return result.data;
  }
  // The first fault's line; the others are named by their paths.
  const [fault] = result.error.issues;
  const place = fault === undefined ? undefined : lineOf(placeOfFault(fault));
  return parseAs(recipeSchema, written, `${what}${lineText(place)}`);
}

/** What trains with `head: auto`; everything else of `training` is its candidates' own. */
const ofEveryCandidate: ReadonlySet<string> = new Set(["classWeights", "sampling"]);

/**
 * Refuses what `head: auto` does not use: nobody writes it to have it ignored.
 * @throws TrommelError `invalid-argument`
 */
function refuseUnused(written: unknown, what: string, lineOf: LineOf): void {
  const type = fieldAt(written, ["head", "type"]) ?? fieldAt(defaults, ["head", "type"]);
  if (type !== "auto") return;
  const training = fieldAt(written, ["training"]);
  const ofTraining = isMapping(training) ? Object.keys(training) : [];
  const paths = [
    ["svd"],
    ["validation"],
    ...ofTraining.filter((name) => !ofEveryCandidate.has(name)).map((name) => ["training", name]),
  ];
  // A recipe that was parsed before has every default.
  const unused = paths.filter((path) => {
    const value = fieldAt(written, path);
    return value !== undefined && canonicalJson(value) !== canonicalJson(fieldAt(defaults, path));
  });
  const [first] = unused;
  if (first === undefined) return;
  const names = unused.map((path) => path.join(".")).join(", ");
  const refit = unused.some((path) => path.join(".") === "training.refit")
    ? "For one head that is trained on all images add --set head.heads=refit instead of training.refit. "
    : "";
  throw new TrommelError(
    "invalid-argument",
    `cannot read ${what}${lineText(lineOf(first))}: ${names} ${unused.length === 1 ? "has" : "have"} no effect with the head auto. ${refit}${adviceOn(written, unused)}`,
    { context: { unused: names } },
  );
}

/** What to do with fields that have no effect: a recipe that tunes has some of them for its tuning, and keeps the head auto. */
function adviceOn(written: unknown, unused: readonly (readonly string[])[]): string {
  if (!isMapping(written) || isAbsent(written, ["tune"]))
    return "Leave it out, write it into head.candidates, or choose another head, such as --head se";
  const names = unused.flatMap(([section = "", name = ""]) =>
    section === "training" && fieldAt(defaults, ["tune", name]) !== undefined ? [`tune.${name}`] : [],
  );
  const them = names.length === 1 ? "it" : "them";
  const toTune = names.length === 0 ? "" : `To tune with ${them} set ${names.join(", ")} instead (--set). `;
  return `${toTune}Leave it out, or write it into head.candidates`;
}

const lineText = (line: number | undefined): string => (line === undefined ? "" : `, line ${line}`);

type KindOptions = ReadonlyMap<string, readonly string[]>;

/** Options by kind, read from the schema itself. */
function optionsOf(union: {
  readonly options: readonly { readonly shape: Readonly<Record<string, unknown>> & KindField }[];
}): KindOptions {
  return new Map(
    union.options.map(({ shape }) => [
      [...shape.type.values].join(),
      Object.keys(shape).filter((name) => name !== "type"),
    ]),
  );
}

interface KindField {
  readonly type: { readonly values: ReadonlySet<string> };
}

function typeOf(value: unknown): unknown {
  return isMapping(value) ? value["type"] : undefined;
}

function unknownKind(
  what: string,
  path: readonly string[],
  noun: string,
  type: unknown,
  options: KindOptions,
): TrommelError {
  return new TrommelError(
    "invalid-argument",
    `cannot read ${what}: ${path.join(".")}.type is ${JSON.stringify(type)}, which is no ${noun}. Choose one of ${[...options.keys()].join(", ")}`,
  );
}

function misfit(fault: {
  readonly what: string;
  readonly path: readonly string[];
  readonly noun: string;
  readonly type: string;
  readonly misfits: readonly string[];
  readonly legal: readonly string[];
  readonly options: KindOptions;
}): TrommelError {
  const { what, path, noun, type, misfits, legal, options } = fault;
  const unfit = misfits.map((name) => {
    const others = [...options].filter(([, names]) => names.includes(name)).map(([kind]) => kind);
    return `${path.join(".")}.${name}${others.length === 0 ? "" : ` (an option of ${others.join(", ")})`}`;
  });
  const takes = legal.length === 0 ? "takes no options" : `takes ${legal.join(", ")}`;
  return new TrommelError(
    "invalid-argument",
    `cannot read ${what}: ${unfit.join(", ")} does not fit the ${noun} ${type}, which ${takes}. Leave it out, or choose another ${noun}`,
    { context: { type, misfits } },
  );
}
