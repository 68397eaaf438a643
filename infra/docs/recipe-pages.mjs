/** The pages of recipes: a table of fields, and a JSON Schema by which editors complete and check recipe files. */
import { recipe } from "../../packages/common/dist/recipe/recipe.js";
import { z } from "zod";
import { commentsOfSchema } from "./docstrings.mjs";
import { markdownTable } from "./markdown.mjs";

const folder = "packages/common/src/recipe";
const files = [
  "recipe",
  "labels-recipe",
  "key-patterns",
  "split-recipe",
  "views-recipe",
  "auto-head",
  "head-recipe",
  "training-recipe",
  "tune-recipe",
  "serving-views",
].map((name) => `${folder}/${name}.ts`);

/** Unions whose kind may be left out, with the kind that is meant then. */
const defaultKinds = {
  head: "auto",
  "head(auto).candidates.training.optimizer": "adam",
  "training.optimizer": "adam",
  "training.schedule": "plateau",
  "tune.optimizer": "adamw",
  "tune.outer": "average",
  "tune.schedule": "cosine",
};

/** Lists whose entries have a table of their own, with what the entries are called. */
const entryNames = { "head.candidates": "candidate" };

/** @returns the JSON Schema of a recipe file, `variants` included */
export function recipeJsonSchema() {
  const comments = commentsOfSchema(files, "recipe");
  // What checks itself has its JSON Schema as its `meta`.
  const schema = z.toJSONSchema(recipe, { io: "input", unrepresentable: "any" });
  describe(schema, "", comments);
  const { items } = schema.properties.backbones;
  schema.properties.backbones.items = { anyOf: [{ type: "string", minLength: 1 }, items] };
  schema.properties.variants = {
    type: "object",
    description: "Named changes of this recipe: each holds the fields that differ.",
    additionalProperties: { type: "object" },
  };
  return { title: "Trommel recipe", ...schema };
}

function describe(schema, where, comments) {
  const comment = comments.get(where);
  if (comment !== undefined) schema.description = comment;
  if (JSON.stringify(schema.default) === "{}") delete schema.default;
  for (const [name, field] of Object.entries(schema.properties ?? {}))
    describe(field, where === "" ? name : `${where}.${name}`, comments);
  if (schema.items !== undefined && schema.items !== false) describe(schema.items, where, comments);
  for (const option of schema.anyOf ?? schema.oneOf ?? []) {
    const kind = option.properties?.type?.const;
    if (kind === undefined) describe(option, where, comments);
    else {
      describe(option, `${where}(${kind})`, comments);
      if (defaultKinds[where] === kind) option.required = option.required?.filter((name) => name !== "type");
    }
  }
}

/** @returns the Markdown page of a recipe's fields */
export function recipePage() {
  const schema = recipeJsonSchema();
  const sections = [{ title: "Top level", rows: [] }];
  addFields(schema, "", sections);
  return [
    "# Recipe fields",
    "A recipe is a YAML or JSON file, or one of the built-in recipes ([guide](../guide/recipes.md)). Every field but `backbones` has a default. An unknown field is an error.",
    "Editors that read `recipe.schema.json` complete and check recipe files. Put this line on top of the file, with the path or URL of the schema: `# yaml-language-server: $schema=recipe.schema.json`.",
    ...sections.flatMap(({ title, intro, rows }) => [
      `## ${title}`,
      ...(intro === undefined ? [] : [intro]),
      ...(rows.length === 0 ? [] : [markdownTable(["field", "legal", "default", "meaning"], rows)]),
    ]),
  ].join("\n\n");
}

function addFields(schema, where, sections) {
  const section = sections.at(-1);
  const entries = [];
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (name === "type" && "const" in field) continue;
    const inner = where === "" ? name : `${where}.${name}`;
    const kinds = (field.oneOf ?? field.anyOf ?? []).filter(
      (option) => option.properties?.type?.const !== undefined,
    );
    const nested = objectIn(field);
    if (entryNames[inner] !== undefined) {
      section.rows.push(row(inner, field, `list of ${entryNames[inner]}s (next table) or \`null\``));
      entries.push({ inner, entry: field.anyOf.find(({ type }) => type === "array").items });
    } else if (kinds.length > 0) addKinds(field, kinds, inner, sections);
    else if (nested !== undefined && where === "" && name !== "variants" && name !== "normalization") {
      sections.push({ title: `\`${inner}\``, intro: introOf(field, nested), rows: [] });
      addFields(nested, inner, sections);
    } else section.rows.push(row(inner, field));
  }
  for (const { inner, entry } of entries) sections.push(entrySection(inner, entry));
}

/** A field of an entry that has tables elsewhere on the page is named after them. */
function entrySection(where, { properties }) {
  const rows = Object.entries(properties).map(([name, field]) =>
    row(`${where}.${name}`, field, containsObject(field) ? `the fields of \`${name}\`` : undefined),
  );
  return { title: `A ${entryNames[where]} of \`${where}\``, rows };
}

function containsObject({ type, anyOf, oneOf }) {
  return type === "object" || (anyOf ?? oneOf ?? []).some(containsObject);
}

function addKinds(field, kinds, where, sections) {
  const standard = defaultKinds[where] ?? "folders";
  for (const option of kinds) {
    const kind = option.properties.type.const;
    const isDefault = kind === standard ? ", the default" : "";
    sections.push({
      title: `\`${where}\` of type \`${kind}\`${isDefault}`,
      intro: option.description,
      rows: [],
    });
    addFields(option, where, sections);
  }
}

function introOf(field, nested) {
  const mayBeNull = (field.anyOf ?? []).some(({ type }) => type === "null");
  const text = field.description ?? nested.description;
  return mayBeNull ? [text, "May be `null`."].filter(Boolean).join(" ") : text;
}

/** The schema of an object, also of one that may be null or of a list of objects. */
function objectIn(field) {
  if (field.properties !== undefined) return field;
  if (field.items?.anyOf !== undefined) return objectIn(field.items);
  return (field.anyOf ?? []).find(({ properties }) => properties !== undefined);
}

function row(name, field, legal = legalOf(field)) {
  const standard = field.default === undefined ? "" : `\`${JSON.stringify(field.default)}\``;
  return [`\`${name}\``, legal, standard, field.description ?? ""];
}

function legalOf(field) {
  if (field.const !== undefined) return `\`${JSON.stringify(field.const)}\``;
  if (field.enum !== undefined) return field.enum.map((value) => `\`${value}\``).join(", ");
  const options = field.anyOf ?? field.oneOf;
  if (options !== undefined) return options.map(legalOf).join(" or ");
  if (field.prefixItems !== undefined)
    return `${field.prefixItems.length} × ${legalOf(field.prefixItems[0])}`;
  if (field.type === "array") return `list of ${legalOf(field.items)}`;
  if (field.type === "object") {
    const names = Object.entries(field.properties ?? {}).map(([name, one]) => `${name}: ${legalOf(one)}`);
    return names.length === 0 ? "mapping" : `{ ${names.join("; ")} }`;
  }
  if (field.type === "null") return "`null`";
  if (field.type === "boolean") return "`true`, `false`";
  return `${{ integer: "whole number", number: "number", string: "text" }[field.type]}${rangeOf(field)}`;
}

function rangeOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, pattern }) {
  if (pattern !== undefined) return ` like \`${pattern}\``;
  const low =
    exclusiveMinimum !== undefined
      ? `above ${exclusiveMinimum}`
      : minimum !== undefined
        ? `from ${minimum}`
        : "";
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const high =
    exclusiveMaximum !== undefined ? `below ${exclusiveMaximum}` : most !== undefined ? `to ${most}` : "";
  const range = [low, high].filter((one) => one !== "").join(" ");
  return range === "" ? "" : ` ${range}`;
}
