import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { errorCodes } from "@trommel/common";
import type { Command } from "commander";
import { programFor } from "#trommel/cli";
import { Terminal } from "#trommel/cli/terminal";
import { readManifests } from "../../infra/check-chart.js";

/** What a person on call types from the runbook exists: commands, flags and their values, names of the chart, codes of errors. */

const root = new URL("../../../../", import.meta.url);
const readText = (path: string): Promise<string> => readFile(new URL(path, root), "utf8");

const runbook = await readText("docs/guide/runbook.md");
const io = { stdout: process.stdout, stderr: process.stderr, env: {}, cwd: "." };
const program = programFor(new Terminal(io, { json: false }));

/** Every command line of the text, in lines of code and within sentences. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].flatMap(([, block = ""]) =>
    block.split("\n"),
  );
  const spans = [...text.replace(/^ *```[\s\S]*?^ *```$/gm, "").matchAll(/`([^`\n]+)`/g)].map(
    ([, span = ""]) => span,
  );
  return [...blocks, ...spans].map((line) => line.replace(/#.*$/, "").trim()).filter((line) => line !== "");
}

/** What is wrong with a command line of ours, one line each; `<id>` is an argument like others. */
function trommelProblems(line: string): string[] {
  const [name = "", ...words] = line.split(/ +/);
  const command: Command | undefined = program.commands.find((one) => one.name() === name);
  if (command === undefined) return [`no command is called ${name}`];
  const problems: string[] = [];
  let given = 0;
  while (words.length > 0) {
    const word = words.shift() ?? "";
    if (!word.startsWith("--")) {
      given += 1;
      continue;
    }
    const option = command.options.find(({ long }) => long === word);
    if (option === undefined) problems.push(`${name} has no ${word}`);
    else if (option.required || option.optional)
      do {
        const value = words.shift() ?? "";
        if (option.argChoices?.includes(value) === false) problems.push(`${word} takes no ${value}`);
      } while (option.variadic && words.length > 0 && words[0]?.startsWith("--") !== true);
  }
  if (given > command.registeredArguments.length) problems.push(`${name} takes fewer arguments`);
  return problems;
}

const lines = commandLines(runbook);
const ours = lines.flatMap((line) => /^(?:kubectl exec .*trommel\.js|trommel) (.+)$/.exec(line)?.[1] ?? []);

describe("the runbook", () => {
  it("gives commands and flags that exist", () => {
    assert.ok(ours.length > 30, `${ours.length} commands`);
    for (const line of ours) assert.deepEqual(trommelProblems(line), [], line);
  });

  for (const [line, problem] of [
    ["docter", /no command is called docter/],
    ["resume <id> --no-folow", /resume has no --no-folow/],
    ["worker --device cudda", /--device takes no cudda/],
    ["worker --queues fold scores", /--queues takes no scores/],
    ["status one two", /status takes fewer arguments/],
  ] as const) {
    it(`is not let through with trommel ${line}`, () => assert.match(trommelProblems(line).join(), problem));
  }

  it("names what the chart makes for a release that is called trommel", async () => {
    const manifests = readManifests(await readText("test/golden/helm-chart/default.yaml"));
    const made = manifests.map(
      ({ kind, metadata }) => `${kind} ${metadata.name.replace("demo-trommel", "trommel")}`,
    );
    const ofKind = { deploy: "Deployment", scaledobject: "ScaledObject" } as const;
    const named = [...runbook.matchAll(/\b(deploy|scaledobject)[/ ](trommel[a-z-]*)/g)];
    assert.ok(named.length > 5);
    for (const [text, kind, name = ""] of named)
      assert.ok(made.includes(`${ofKind[kind as "deploy"]} ${name}`), text);
    const labels = [...runbook.matchAll(/-l ([a-z./]+)=([a-z]+)/g)];
    assert.ok(labels.length > 2);
    for (const [text, label = "", value = ""] of labels)
      assert.ok(
        manifests.some(({ spec }) => JSON.stringify(spec ?? {}).includes(`"${label}":"${value}"`)),
        text,
      );
  });

  it("lists codes that errors have", () => {
    const listed = [...runbook.matchAll(/^ +- ((?:`[a-z-]+`(?:, )?)+): /gm)].flatMap(([, codes = ""]) =>
      [...codes.matchAll(/`([a-z-]+)`/g)].map(([, code = ""]) => code),
    );
    assert.ok(listed.length > 5);
    for (const code of listed) assert.ok(code in errorCodes, code);
  });
});
