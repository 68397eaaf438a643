import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { recipe as recipeSchema } from "@trommel/common";
import { addRecipeFlags, readRecipe } from "@trommel/coordinator/cli/recipe-flags";
import { Command } from "commander";
import { temporaryFolder } from "../support/temp-folder.js";

const folder = await temporaryFolder("recipe-flags");

async function recipeOf(args: readonly string[], yaml?: string) {
  const file = join(folder, "recipe.yaml");
  if (yaml !== undefined) await writeFile(file, yaml);
  const command = addRecipeFlags(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse([...(yaml === undefined ? [] : ["--recipe", file]), ...args], { from: "user" });
  return readRecipe(command.opts());
}

const yaml = `
name: from-file
backbones: [small, large]
views: { count: 2, rotation: 5 }
training: { epochs: 7, optimizer: { learningRate: 0.5 } }
`;

describe("recipe flags", () => {
  it("win over the file field by field and leave its other fields", async () => {
    const read = recipeSchema.parse(await recipeOf(["--views", "9", "--learning-rate", "0.25"], yaml));
    assert.equal(read.views.count, 9);
    assert.equal(read.views.rotation, 5);
    assert.equal(read.training.epochs, 7);
    assert.equal(read.training.optimizer.learningRate, 0.25);
    assert.deepEqual(read.backbones, ["small", "large"]);
  });

  it("name backbones anew where any is named", async () => {
    const read = await recipeOf(["--backbone", "a", "--backbone", "b@0123"], yaml);
    assert.deepEqual(read.backbones, ["a", "b@0123"]);
  });

  it("need no file, and every other field is reached by --set", async () => {
    const args = ["--backbone", "a", "--set", "views.shear=5", "--set", "decode.background=[0, 1, 2]"];
    const read = recipeSchema.parse(await recipeOf([...args, "--centre"]));
    assert.equal(read.views.shear, 5);
    assert.deepEqual(read.decode.background, [0, 1, 2]);
    assert.equal(read.svd?.centre, true);
    assert.equal(recipeSchema.parse(await recipeOf(["--backbone", "a", "--no-svd"])).svd, null);
  });

  it("let a head's flag alone adjust the default head", async () => {
    const read = recipeSchema.parse(await recipeOf(["--backbone", "a", "--dropout", "0.125"]));
    const standard = recipeSchema.parse({ backbones: ["a"] }).head;
    assert.deepEqual(read.head, { ...standard, dropout: 0.125 });
  });

  it("refuse fields that are none, also those of every object", async () => {
    for (const path of [
      "views.rotate",
      "__proto__.polluted",
      "views.__proto__.x",
      "constructor.x",
      "toString",
    ]) {
      const read = await recipeOf(["--backbone", "a", "--set", `${path}=1`]);
      assert.equal(recipeSchema.safeParse(read).success, false, path);
    }
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  });

  it("refuse what is no assignment, no number, no mapping and no file", async () => {
    const refused = { code: "invalid-argument" };
    await assert.rejects(recipeOf(["--backbone", "a", "--set", "views"]), refused);
    await assert.rejects(recipeOf(["--backbone", "a", "--views", "many"]), /not a number/);
    await assert.rejects(recipeOf([], "- a\n- b\n"), { ...refused, message: /mapping/ });
    await assert.rejects(recipeOf([], "a: [unclosed"), refused);
    await assert.rejects(recipeOf(["--recipe", join(folder, "absent.yaml")]), {
      ...refused,
      message: /absent\.yaml/,
    });
    await assert.rejects(recipeOf([]), { ...refused, message: /--backbone/ });
  });
});
