/** Reads the comments of tables and schemas in TypeScript sources, so that reference pages repeat none of them. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** Every top-level constant of some files, by name. @returns {Map<string, ts.VariableDeclaration>} */
function constantsOf(files) {
  const declarations = files.flatMap((file) => {
    const text = readFileSync(path.join(root, file), "utf8");
    const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
    return source.statements
      .filter(ts.isVariableStatement)
      .flatMap((one) => [...one.declarationList.declarations]);
  });
  return new Map(declarations.map((one) => [one.name.getText(), one]));
}

/** The comment before a node as one line; "" if it has none. */
function docOf(node) {
  const text = node.getSourceFile().text;
  const range = (ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []).at(-1);
  const comment = range === undefined ? "" : text.slice(range.pos, range.end);
  if (!comment.startsWith("/**")) return "";
  return comment
    .replace(/^\/\*\*|\*\/$/gu, "")
    .replace(/^\s*\*\s?/gmu, "")
    .replace(/\{@link (\w+)\}/gu, "`$1`")
    .replace(/\s+/gu, " ")
    .trim();
}

/** Comments of a table's entries: an object literal's by key, or those of the texts of a `z.enum([…])`. */
export function commentsOfTable(file, name) {
  const declaration = constantsOf([file]).get(name);
  if (declaration === undefined) throw new Error(`${file} declares no constant ${name}`);
  const table = unwrap(declaration.initializer);
  if (ts.isObjectLiteralExpression(table))
    return new Map(table.properties.map((property) => [nameOf(property), docOf(property)]));
  return new Map(table.arguments[0].elements.map((element) => [element.text, docOf(element)]));
}

/**
 * Comments of a zod schema's fields by path: `views.count`; an option of one kind of a union is `head(se).dropout`, and
 * the kind itself `head(se)`. A field without a comment has its schema's.
 */
export function commentsOfSchema(files, name) {
  const constants = constantsOf(files);
  const found = new Map();
  const note = (where, doc) => doc !== "" && !found.has(where) && found.set(where, doc);

  const walk = (expression, where) => {
    const schema = unwrap(expression);
    if (ts.isIdentifier(schema)) {
      const declaration = constants.get(schema.text);
      if (declaration === undefined) return;
      note(where, docOf(declaration.parent.parent));
      walk(declaration.initializer, where);
    } else if (ts.isCallExpression(schema)) walkCall(schema, where);
  };

  const walkCall = (call, where) => {
    const { expression, arguments: given } = call;
    if (ts.isIdentifier(expression)) return given.length > 1 ? walk(given[1], where) : undefined;
    const method = expression.name.text;
    if (expression.expression.getText() !== "z") return walk(expression.expression, where);
    if (method === "object") for (const field of given[0].properties) walkField(field, where);
    if (method === "array") walk(given[0], where);
    if (method === "preprocess") walk(given[1], where);
    if (method === "union") for (const option of given[0].elements) walk(option, where);
    if (method === "discriminatedUnion")
      for (const option of given[1].elements.flatMap(optionsOf)) {
        const kind = `${where}(${/z\.literal\("([\w-]+)"\)/u.exec(definitionOf(option).getText())?.[1]})`;
        note(kind, docOf(option));
        walk(option, kind);
      }
    return undefined;
  };

  /** The value of a constant, for its name, or for `name.extend(…)`. */
  const definitionOf = (expression) => {
    if (ts.isIdentifier(expression)) return constants.get(expression.text).initializer;
    const isExtended = ts.isCallExpression(expression) && expression.expression.name?.text === "extend";
    return isExtended ? definitionOf(expression.expression.expression) : expression;
  };

  /** One option of a union, or `...other.options`: those of another. */
  const optionsOf = (element) =>
    ts.isSpreadElement(element)
      ? [...definitionOf(element.expression.expression).arguments[1].elements].flatMap(optionsOf)
      : [element];

  const walkField = (field, where) => {
    const inner = where === "" ? nameOf(field) : `${where}.${nameOf(field)}`;
    note(inner, docOf(field));
    walk(ts.isShorthandPropertyAssignment(field) ? field.name : field.initializer, inner);
  };

  walk(constants.get(name).initializer, "");
  return found;
}

function unwrap(expression) {
  return ts.isAsExpression(expression) || ts.isSatisfiesExpression(expression)
    ? unwrap(expression.expression)
    : expression;
}

function nameOf(property) {
  return property.name.text;
}
