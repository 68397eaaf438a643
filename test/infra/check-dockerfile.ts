import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { DockerfileParser, type Instruction } from "dockerfile-ast";
import { validate, ValidationSeverity } from "dockerfile-utils";

const severity = {
  deprecatedMaintainer: ValidationSeverity.ERROR,
  directiveCasing: ValidationSeverity.ERROR,
  emptyContinuationLine: ValidationSeverity.ERROR,
  instructionCasing: ValidationSeverity.ERROR,
  instructionCmdMultiple: ValidationSeverity.ERROR,
  instructionEntrypointMultiple: ValidationSeverity.ERROR,
  instructionHealthcheckMultiple: ValidationSeverity.ERROR,
  instructionJSONInSingleQuotes: ValidationSeverity.ERROR,
  instructionWorkdirRelative: ValidationSeverity.ERROR,
} as const;

const words = (instruction: Instruction): string[] =>
  instruction.getArguments().map((argument) => argument.getValue());

/**
 * What is wrong with a Dockerfile, one line each: its syntax, and this repository's rules — pinned bases, stages and
 * sources that exist, the manifest of every workspace before `npm ci`, the dashboard's page, and a last stage with an unprivileged user, a health
 * check and an entry point in exec form whose script it copies.
 *
 * @param contextFolder the build context, in which what COPY names must exist
 */
export function dockerfileProblems(text: string, contextFolder: string): string[] {
  const problems = validate(text, severity).map(
    ({ range, message }) =>
      `line ${range.start.line + 1}: ${typeof message === "string" ? message : message.value}`,
  );
  const instructions = DockerfileParser.parse(text).getInstructions();
  const stages = new Set<string>();
  let lastStage: Instruction[] = [];
  for (const instruction of instructions) {
    const keyword = instruction.getKeyword();
    const line = instruction.getRange().start.line + 1;
    if (keyword === "FROM") {
      const [base = "", , stage] = words(instruction);
      if (!stages.has(base) && !/:(?!latest$)[^/:]+$/.test(base))
        problems.push(`line ${line}: ${base} is not pinned`);
      if (stage !== undefined) stages.add(stage);
      lastStage = [];
    } else {
      lastStage.push(instruction);
    }
    if (keyword === "COPY") problems.push(...copyProblems(text, instruction, stages, contextFolder));
  }
  return [
    ...problems,
    ...missingManifests(instructions, contextFolder),
    ...pageProblems(text, contextFolder),
    ...lastStageProblems(lastStage),
    ...entryPointProblems(lastStage, contextFolder),
  ];
}

/** The dashboard's page is built in the image, from sources that `.dockerignore` lets into the context. */
function pageProblems(text: string, contextFolder: string): string[] {
  const [, config] = /vite build --config (\S+)/.exec(text) ?? [];
  if (config === undefined) return ["the image does not build the dashboard's page"];
  const ignored = path.join(contextFolder, ".dockerignore");
  return existsSync(ignored) && !isInContext(config, readFileSync(ignored, "utf8"))
    ? [`.dockerignore leaves out ${config}, from which the page is built`]
    : [];
}

/** Whether a file is in the build context: the last pattern that it, or a folder of it, matches decides. */
export function isInContext(file: string, dockerignore: string): boolean {
  const patterns = dockerignore.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const last = patterns.findLast((pattern) => {
    const source = pattern
      .replace(/^!/, "")
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replace(/\*\*|\*/g, (stars) => (stars === "**" ? ".*" : "[^/]*"));
    return new RegExp(`^${source}(?:/.*)?$`).test(file);
  });
  return last === undefined || last.startsWith("!");
}

/** Without the manifest of every workspace, `npm ci` refuses the lockfile. */
function missingManifests(instructions: readonly Instruction[], contextFolder: string): string[] {
  const packages = path.join(contextFolder, "packages");
  if (!existsSync(packages)) return [];
  const copied = new Set(instructions.filter((one) => one.getKeyword() === "COPY").flatMap(words));
  return readdirSync(packages)
    .map((name) => `packages/${name}/package.json`)
    .filter((manifest) => !copied.has(manifest))
    .map((manifest) => `${manifest} is not copied`);
}

function entryPointProblems(lastStage: readonly Instruction[], contextFolder: string): string[] {
  const entry = lastStage.findLast((one) => one.getKeyword() === "ENTRYPOINT");
  const script = /"(packages\/[^"]+)"/.exec(entry?.getArgumentsContent() ?? "")?.[1];
  if (script === undefined) return [];
  if (!existsSync(path.join(contextFolder, script))) return [`the entry point ${script} does not exist`];
  const targets = lastStage
    .filter((one) => one.getKeyword() === "COPY")
    .map((one) => words(one).at(-1) ?? "");
  const isCopied = targets.some((target) => script.startsWith(`${target.replace(/\/$/, "")}/`));
  return isCopied ? [] : [`the last stage does not copy the entry point ${script}`];
}

function copyProblems(
  text: string,
  copy: Instruction,
  stages: ReadonlySet<string>,
  contextFolder: string,
): string[] {
  const line = copy.getRange().start.line;
  const from = /--from=(\S+)/.exec(text.split("\n")[line] ?? "")?.[1];
  if (from !== undefined) return stages.has(from) ? [] : [`line ${line + 1}: no stage is called ${from}`];
  const sources = words(copy)
    .filter((word) => !word.startsWith("--"))
    .slice(0, -1);
  return sources
    .filter((source) => !existsSync(path.join(contextFolder, source)))
    .map((source) => `line ${line + 1}: the build context has no ${source}`);
}

function lastStageProblems(instructions: readonly Instruction[]): string[] {
  const last = (keyword: string): Instruction | undefined =>
    instructions.findLast((instruction) => instruction.getKeyword() === keyword);
  const problems: string[] = [];
  const user = last("USER");
  if (user === undefined || ["root", "0"].includes(words(user)[0] ?? "root"))
    problems.push("the image runs as root");
  if (last("HEALTHCHECK") === undefined) problems.push("the image has no HEALTHCHECK");
  for (const keyword of ["ENTRYPOINT", "CMD"]) {
    const isExecForm = last(keyword)?.getArgumentsContent()?.trim().startsWith("[") ?? false;
    if (!isExecForm) problems.push(`${keyword} is missing or not in exec form, so SIGTERM would not arrive`);
  }
  return problems;
}
