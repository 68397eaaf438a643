import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { environmentVariables } from "@trommel/common/environment-variables";
import { recipe } from "@trommel/common";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";

const root = fileURLToPath(new URL("../../../../", import.meta.url));
const readmeSizeAtMost = 7168;

function filesBelow(folder: string, extension: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(extension) && !/(?:^|\/)(?:node_modules|dist)\//.test(name))
    .map((name) => path.join(folder, name));
}

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...filesBelow("docs", ".md"),
  ...filesBelow("examples", ".md"),
];

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function anchorsOf(page: string): string[] {
  const text = readFileSync(path.join(root, page), "utf8").replace(/^```[\s\S]*?^```$/gm, "");
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));
}

describe("the pages", () => {
  it("link only to files and headings that exist", () => {
    const broken = pages.flatMap((page) => {
      const text = readFileSync(path.join(root, page), "utf8").replace(/^```[\s\S]*?^```$/gm, "");
      return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, target = ""]) => target)
        .filter((target) => !/^[a-z]+:/.test(target))
        .filter((target) => {
          const [file = "", anchor] = target.split("#");
          const linked = file === "" ? page : path.join(path.dirname(page), file);
          if (!existsSync(path.join(root, linked))) return true;
          return anchor !== undefined && !anchorsOf(linked).includes(anchor);
        })
        .map((target) => `${page}: ${target}`);
    });
    assert.deepEqual(broken, []);
  });

  it("are reachable from the README", () => {
    const seen = new Set<string>();
    const visit = (page: string): void => {
      if (seen.has(page) || !page.endsWith(".md") || !existsSync(path.join(root, page))) return;
      seen.add(page);
      const text = readFileSync(path.join(root, page), "utf8");
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s#]+)(?:#[^)]*)?\)/g))
        visit(path.join(path.dirname(page), target));
    };
    visit("README.md");
    assert.deepEqual(
      pages.filter((page) => !seen.has(page)),
      [],
    );
  });

  it("have a README of at most 7 kB, whose picture is below 200 kB", () => {
    assert.ok(statSync(path.join(root, "README.md")).size <= readmeSizeAtMost);
    assert.ok(statSync(path.join(root, "docs/images/report.png")).size < 200_000);
  });

  it("speak of every decision in their index", () => {
    const index = readFileSync(path.join(root, "docs/decisions/README.md"), "utf8");
    const dated = readdirSync(path.join(root, "docs/decisions")).filter((name) => name !== "README.md");
    assert.deepEqual(
      dated.filter((name) => !index.includes(`(${name})`)),
      [],
    );
  });
});

describe("the reference", () => {
  it("is what the code says", () => {
    const script = path.join(root, "infra/docs/generate-reference.mjs");
    const { status, stderr } = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
  });

  it("has every TROMMEL_ variable that the sources name", () => {
    const sources = filesBelow("packages", ".ts").map((file) => readFileSync(path.join(root, file), "utf8"));
    const named = new Set(sources.flatMap((text) => text.match(/\bTROMMEL_[A-Z0-9_]+\b/g) ?? []));
    assert.deepEqual(
      [...named].filter((name) => !(name in environmentVariables)),
      [],
    );
  });

  it("has a JSON Schema that accepts what the recipe's own schema accepts", () => {
    const schema = JSON.parse(
      readFileSync(path.join(root, "docs/reference/recipe.schema.json"), "utf8"),
    ) as object;
    const validate = new Ajv2020({ strict: false }).compile(schema);
    const accepted: unknown[] = [
      ...filesBelow("packages/coordinator/recipes", ".yaml").map(
        (file) => parse(readFileSync(path.join(root, file), "utf8")) as unknown,
      ),
      { backbones: ["a", { name: "b", inputSize: 224 }] },
      { backbones: ["a"], head: { folds: 3 }, training: { optimizer: { learningRate: 0.1 } } },
      recipe.parse({ backbones: ["a"] }),
    ];
    for (const value of accepted) assert.ok(validate(value), JSON.stringify(validate.errors));
    const refused: unknown[] = [
      {},
      { backbones: ["a"], unknown: 1 },
      { backbones: ["a"], head: { dropout: 0.1 } },
      { backbones: ["a"], head: { type: "linear", hidden: [8] } },
      { backbones: ["a"], views: { count: 0 } },
    ];
    for (const value of refused) assert.ok(!validate(value), JSON.stringify(value));
  });
});
