/** The page of the command line, from the commands and flags as commander knows them. */
import { programFor } from "../../packages/trommel/dist/cli.js";
import { Terminal } from "../../packages/trommel/dist/cli/terminal.js";
import { markdownTable } from "./markdown.mjs";

/** @returns the Markdown page of every command and flag */
export function cliPage() {
  const io = { stdout: process.stdout, stderr: process.stderr, env: {}, cwd: "." };
  const program = programFor(new Terminal(io, { json: false }));
  const commands = leaves(program, []);
  const shared = sharedFlags(commands);
  return [
    "# Command line",
    "`trommel <command> --help` prints the same. Exit codes: 0 done, 1 failed, 2 refused as it was given, 3 done without one readable file, 4 evaluated and a figure misses its bound, 5 stopped because more images failed than --max-failures allows, 130 or 143 stopped by SIGINT or SIGTERM.",
    "## Flags of every command",
    flagTable(shared),
    ...commands.flatMap(({ command, words }) => [
      `## \`${["trommel", ...words, ...command.registeredArguments.map(argumentText)].join(" ")}\``,
      sentence(command.description()),
      flagTable(shownFlags(command).filter((option) => !shared.some(({ flags }) => flags === option.flags))),
    ]),
  ]
    .filter((block) => block !== "")
    .join("\n\n");
}

function leaves(command, words) {
  if (command.commands.length === 0) return [{ command, words }];
  return command.commands.flatMap((one) => leaves(one, [...words, one.name()]));
}

function shownFlags(command) {
  return command.options.filter(({ hidden }) => !hidden);
}

/** Flags that every command has alike. */
function sharedFlags(commands) {
  const [first, ...others] = commands.map(({ command }) => shownFlags(command));
  return first.filter((option) => others.every((flags) => flags.some((one) => one.flags === option.flags)));
}

function argumentText(argument) {
  const name = `${argument.name()}${argument.variadic ? "…" : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function sentence(text) {
  return text === "" ? "" : `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function flagTable(options) {
  if (options.length === 0) return "";
  return markdownTable(
    ["flag", "meaning", "default"],
    options.map((option) => [`\`${option.flags}\``, meaning(option), standard(option)]),
  );
}

function meaning({ description, argChoices, envVar }) {
  const more = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.map((choice) => `\`${choice}\``).join(", ")}`]),
    ...(envVar === undefined ? [] : [`environment: \`${envVar}\``]),
  ];
  return [plain(description), ...more].join("; ");
}

/** Angle brackets are no HTML. */
function plain(text) {
  return text.replace(/<[^>]*>/gu, (part) => `\`${part}\``);
}

/** Log levels differ by command: servers log more. */
function standard({ defaultValue, defaultValueDescription, long }) {
  if (long === "--log-level") return "`warn`, `info` for `coordinator`, `worker` and `up`";
  if (defaultValueDescription !== undefined) return defaultValueDescription;
  if (defaultValue === undefined || defaultValue === false || long?.startsWith("--no-")) return "";
  if (Array.isArray(defaultValue) && defaultValue.length === 0) return "";
  return `\`${Array.isArray(defaultValue) ? defaultValue.join(" ") : defaultValue}\``;
}
