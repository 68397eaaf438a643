/**
 * `npm run check:english [-- --list] [-- <path>…]`: counts turns of phrase that a reader has to translate, apart in
 * messages (every literal of two words or more), in comments and in Markdown, and error messages that end with a full
 * stop. It fails above 0. `--list` prints each place.
 * Without a path it reads packages/, infra/, docs/, examples/, .ci/ and the Markdown files beside package.json.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

const idioms = {
  told: /\btold\b/giu,
  stands: /\bstands\b/giu,
  "is none": /\b(?:is|are)\s+none\b/giu,
  whoever: /\bwhoever\b/giu,
  anew: /\banew\b/giu,
  mend: /\bmend(?:s|ed|ing)?\b/giu,
  beside: /\bbeside\b/giu,
  away: /\baway\b/giu,
  "goes on": /\bgoes\s+on\b/giu,
  "for ever": /\bfor\s+ever\b/giu,
  "sentence begins with Of, Where or Whoever":
    /(?:^\s*|[.!?:]\)?\s+|\n\n|^- |\n- |\| )["'(*_]*(?:Of|Where|Whoever)\b/gu,
};
const fullStop = "message ends with a full stop";

const limits = { messages: 0, docs: 0, comments: 0 };
const readers = [
  [/\.(?:ts|js|mjs|cjs)$/u, readSource],
  [/\.md$/u, readMarkdown],
  [/(?:\.(?:ya?ml|tpl|env|sh)|Dockerfile|\.ci\/run)$/u, readHashComments],
];
/** What nobody writes by hand; this file names the idioms that it looks for. */
const skipped = /(?:^|\/)(?:node_modules|dist|\.git|docs\/api)$|check-english\.mjs$|package-lock\.json$/u;

const { paths, list } = readArguments(process.argv.slice(2));
const findings = paths.flatMap(filesBelow).flatMap(findIn);
report(findings, list);

function readArguments(words) {
  const given = words.filter((word) => word !== "--list").map((word) => path.resolve(word));
  const standard = ["packages", "infra", "docs", "examples", ".ci"].map((name) => path.join(root, name));
  const besidePackage = readdirSync(root)
    .filter((name) => name.endsWith(".md"))
    .map((name) => path.join(root, name));
  return {
    paths: given.length > 0 ? given : [...standard, ...besidePackage],
    list: words.includes("--list"),
  };
}

function filesBelow(place) {
  const found = statSync(place, { throwIfNoEntry: false });
  if (found === undefined || skipped.test(place)) return [];
  if (found.isFile()) return [place];
  return readdirSync(place).flatMap((name) => filesBelow(path.join(place, name)));
}

function findIn(file) {
  const reader = readers.find(([pattern]) => pattern.test(file))?.[1];
  if (reader === undefined) return [];
  const content = readFileSync(file, "utf8");
  const name = path.relative(root, file);
  return reader(content, file).flatMap(({ category, text, line, isError }) => {
    const found = Object.entries(idioms).flatMap(([idiom, pattern]) =>
      [...text.matchAll(pattern)].map((match) => ({
        idiom,
        line: line + text.slice(0, match.index + match[0].search(/\S/u)).split("\n").length - 1,
        excerpt: excerptAt(text, match.index),
      })),
    );
    if (isError && /[^.]\.$/u.test(text.trimEnd()))
      found.push({ idiom: fullStop, line, excerpt: text.slice(-70) });
    return found.map((one) => ({ ...one, category, file: name }));
  });
}

function excerptAt(text, index) {
  return text.slice(Math.max(0, index - 30), index + 50).replace(/\s+/gu, " ");
}

/** The literals and comments of a TypeScript or JavaScript file; import paths and the names of properties are neither. */
function readSource(content, file) {
  const source = ts.createSourceFile(file, content, ts.ScriptTarget.Latest, true);
  const pieces = commentsOf(source, content);
  const visit = (node) => {
    const text = literalText(node);
    if (text !== undefined && /\S\s+\S/u.test(text) && !isModuleName(node))
      pieces.push({
        category: "messages",
        text,
        line: lineOf(source, node.getStart()),
        isError: isError(node, text),
      });
    ts.forEachChild(node, visit);
  };
  visit(source);
  return pieces;
}

/** The text of a literal, with `…` for what a template inserts; undefined for other nodes. */
function literalText(node) {
  if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return undefined;
  return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join("");
}

function isModuleName(node) {
  return ts.isImportDeclaration(node.parent) || ts.isExportDeclaration(node.parent);
}

/** Whether a literal is the last piece of an error's message: an argument of an error, or in an error's wording. */
function isError(node, text) {
  let child = node;
  let parent = node.parent;
  while (isPartOfValue(parent, child)) {
    child = parent;
    parent = parent.parent;
  }
  if (ts.isBinaryExpression(parent) && parent.left === child) return false;
  if (/^(?:failed to|cannot)\b/u.test(text)) return true;
  if (ts.isNewExpression(parent)) return /Error$/u.test(parent.expression.getText());
  if (ts.isCallExpression(parent)) {
    const callee = parent.expression.getText();
    return (
      callee === "super" ||
      /(?:error|fail|refuse|invalid|corrupt|mismatch|fault|damaged|refine)\w*$/iu.test(callee)
    );
  }
  return ts.isPropertyAssignment(parent) && /^(?:message|error)$/u.test(parent.name.getText());
}

function isPartOfValue(parent, child) {
  if (ts.isParenthesizedExpression(parent)) return true;
  if (ts.isConditionalExpression(parent)) return parent.condition !== child;
  return ts.isBinaryExpression(parent) && parent.right === child;
}

function commentsOf(source, content) {
  const found = new Map();
  const collect = (node) => {
    const ranges = [
      ...(ts.getLeadingCommentRanges(content, node.getFullStart()) ?? []),
      ...(ts.getTrailingCommentRanges(content, node.getEnd()) ?? []),
    ];
    for (const { pos, end } of ranges) found.set(pos, content.slice(pos, end));
    node.getChildren(source).forEach(collect);
  };
  collect(source);
  const pieces = [...found]
    .sort(([one], [other]) => one - other)
    .map(([position, text]) => ({ line: lineOf(source, position), text }));
  return joinLines(pieces).map(({ line, text }) => ({
    category: "comments",
    line,
    text: plainComment(text),
  }));
}

/** Line comments below each other are one text. */
function joinLines(pieces) {
  const joined = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    const continues =
      last !== undefined &&
      /^(?:\/\/|#)/u.test(piece.text) &&
      /^(?:\/\/|#)/u.test(last.text) &&
      last.line + last.text.split("\n").length === piece.line;
    if (continues) last.text += `\n${piece.text}`;
    else joined.push({ ...piece });
  }
  return joined;
}

function plainComment(text) {
  return withoutCode(text.replace(/^[^\S\n]*(?:\/\*\*?|\*\/|\*|\/\/|#+)[^\S\n]?/gmu, ""));
}

/** Code in backquotes is not prose; as many dots take its place. */
function withoutCode(text) {
  return text.replace(/`[^`\n]*`/gu, (code) => "·".repeat(code.length));
}

function lineOf(source, position) {
  return source.getLineAndCharacterOfPosition(position).line + 1;
}

function readMarkdown(content) {
  const blank = (block) => block.replace(/[^\n]/gu, "");
  const prose = content.replace(/^( *)```[\s\S]*?^\1```$/gmu, blank).replace(/^<!--[\s\S]*?-->$/gmu, blank);
  return [{ category: "docs", line: 1, text: withoutCode(prose).replace(/\]\([^)]*\)/gu, "]") }];
}

function readHashComments(content) {
  const pieces = content.split("\n").flatMap((text, index) => {
    const comment = /(?:^|\s)#(?!!).*$/u.exec(text)?.[0].trimStart();
    return comment === undefined ? [] : [{ line: index + 1, text: comment }];
  });
  return joinLines(pieces).map(({ line, text }) => ({
    category: "comments",
    line,
    text: plainComment(text),
  }));
}

function report(found, list) {
  if (list)
    for (const { file, line, category, idiom, excerpt } of found)
      console.log(`${file}:${line} [${category}] ${idiom}: ${excerpt}`);
  printCounts("idiom", found, ({ idiom }) => idiom);
  printCounts("folder", found, ({ file }) => path.dirname(file).split(path.sep).slice(0, 4).join("/"));
  for (const [category, limit] of Object.entries(limits)) {
    const count = found.filter((one) => one.category === category).length;
    console.log(`${category}: ${count} (at most ${limit})`);
    if (count > limit) process.exitCode = 1;
  }
  if (process.exitCode === 1 && !list)
    console.error("check:english failed. `npm run check:english -- --list` prints each place");
}

function printCounts(title, found, keyOf) {
  const rows = Map.groupBy?.(found, keyOf) ?? groupBy(found, keyOf);
  if (rows.size === 0) return;
  console.log(
    `${title.padEnd(52)}${Object.keys(limits)
      .map((name) => name.padStart(10))
      .join("")}`,
  );
  for (const [key, ones] of [...rows].sort((one, other) => other[1].length - one[1].length)) {
    const counts = Object.keys(limits).map((name) => ones.filter(({ category }) => category === name).length);
    console.log(`${key.padEnd(52)}${counts.map((count) => String(count).padStart(10)).join("")}`);
  }
  console.log();
}

function groupBy(found, keyOf) {
  const groups = new Map();
  for (const one of found) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}
