import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

/**
 * Programs that check what is in infra/ by the rules of those who run it. Each is looked for in the folder that TROMMEL_INFRA_TOOLS
 * names and on the PATH; `node infra/checks/install-tools.mjs <folder>` fills such a folder.
 */

/** What a check by a program came to: what is wrong, or why it was not run. */
export type ToolAnswer =
  { readonly problems: readonly string[]; readonly output: string } | { readonly notRun: string };

interface ToolRun {
  readonly program: string;
  readonly args: readonly string[];
  /** What the program reads from its standard input. */
  readonly input?: string;
  readonly folder?: string;
}

const toolsFolder = process.env["TROMMEL_INFRA_TOOLS"] ?? "";

/** What says which version of a program runs; undefined for those that nobody names. */
const versionArguments: Readonly<Record<string, readonly string[]>> = {
  helm: ["version", "--short"],
  kubeconform: ["-v"],
  promtool: ["--version"],
  hadolint: ["--version"],
  docker: ["compose", "version"],
};

function pathOf(program: string): string {
  const own = path.join(toolsFolder, program);
  return toolsFolder !== "" && existsSync(own) ? own : program;
}

/** The first line of what a program says of its version; undefined if it is not on this machine. */
export function toolVersion(program: string): string | undefined {
  const { status, stdout, stderr } = spawnSync(pathOf(program), versionArguments[program] ?? ["--version"], {
    encoding: "utf8",
  });
  return status === 0 ? (`${stdout}${stderr}`.trim().split("\n")[0] ?? "") : undefined;
}

/** Runs a program if the machine has it. */
export function runTool({ program, args, input, folder }: ToolRun): ToolAnswer {
  if (toolVersion(program) === undefined) return { notRun: `${program} is not on this machine` };
  const { status, stdout, stderr } = spawnSync(pathOf(program), args, {
    cwd: folder,
    input,
    encoding: "utf8",
    env: {
      ...process.env,
      TROMMEL_REDIS_PASSWORD: "x",
      TROMMEL_S3_SECRET_KEY: "xxxxxxxx",
      TROMMEL_TOKEN: "x",
    },
  });
  const problems = status === 0 ? [] : `${stdout}${stderr}`.trim().split("\n");
  return { problems, output: stdout };
}

/** Kinds of other makers, whose schemas are not those of Kubernetes. KEDA's are checked by its generated types. */
const customKinds = [
  "keda.sh/v1alpha1/ScaledObject",
  "keda.sh/v1alpha1/TriggerAuthentication",
  "monitoring.coreos.com/v1/PodMonitor",
];

/** Compares manifests with the schemas of Kubernetes: those in the folder `schemas` of the tools, or its own, from the network. */
export function checkBySchemas(manifests: string): ToolAnswer {
  const schemas = path.join(toolsFolder, "schemas");
  const isLocal = toolsFolder !== "" && existsSync(schemas);
  const answer = runTool({
    program: "kubeconform",
    args: [
      "-strict",
      "-skip",
      customKinds.join(),
      ...(isLocal ? ["-schema-location", `${schemas}/{{.ResourceKind}}{{.KindSuffix}}.json`] : []),
    ],
    input: manifests,
  });
  if ("problems" in answer && answer.problems.some((problem) => /failed downloading schema/.test(problem)))
    return { notRun: "the schemas of Kubernetes cannot be reached" };
  return answer;
}
