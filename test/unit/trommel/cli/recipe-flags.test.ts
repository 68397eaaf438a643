import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { recipe as recipeSchema, type Recipe } from "@trommel/common";
import { Recipes } from "#trommel/api/recipes";
import { addRecipeFlags, readRecipe } from "#trommel/cli/flags/recipe-flags";
import { Command } from "commander";
import { stepsOf } from "../../../support/runs/step-training.js";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const folder = await temporaryFolder("recipe-flags");

async function recipeOf(args: readonly string[], yaml?: string) {
  const file = join(folder, "recipe.yaml");
  if (yaml !== undefined) await writeFile(file, yaml);
  const command = addRecipeFlags(new Command())
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  command.parse([...(yaml === undefined ? [] : ["--recipe", file]), ...args], { from: "user" });
  return readRecipe(new Recipes(process.cwd()), command.opts());
}

const namesOf = (read: Recipe): string[] => read.backbones.map(({ name }) => name);

const yaml = `
name: from-file
backbones: [small, large]
views: { count: 2, rotation: 5 }
head: { type: se }
training: { epochs: 7, optimizer: { learningRate: 0.5 } }
`;

describe("recipe flags", () => {
  it("win over the file field by field and leave its other fields", async () => {
    const read = await recipeOf(["--views", "9", "--learning-rate", "0.25"], yaml);
    assert.equal(read.views.count, 9);
    assert.equal(read.views.rotation, 5);
    assert.equal(read.training.epochs, 7);
    assert.equal(stepsOf(read.training).optimizer.learningRate, 0.25);
    assert.deepEqual(namesOf(read), ["small", "large"]);
  });

  it("name backbones anew where any is named", async () => {
    const read = await recipeOf(["--backbone", "a", "--backbone", "b@0123"], yaml);
    assert.deepEqual(namesOf(read), ["a", "b@0123"]);
  });

  it("need no file, and every other field is reached by --set", async () => {
    const args = ["--backbone", "a", "--set", "views.shear=5", "--set", "decode.background=[0, 1, 2]"];
    const read = await recipeOf([...args, "--head", "se", "--centre"]);
    assert.equal(read.views.shear, 5);
    assert.deepEqual(read.decode.background, [0, 1, 2]);
    assert.equal(read.svd?.centre, true);
    assert.equal((await recipeOf(["--backbone", "a", "--head", "se", "--no-svd"])).svd, null);
  });

  it("keep a test part by a share, a file of keys or a column, with any head", async () => {
    const testOf = async (...args: string[]) => (await recipeOf(["--backbone", "a", ...args])).split.test;
    assert.equal(await testOf("--test", "0.2"), 0.2);
    assert.equal(await testOf("--test", "0.2", "--head", "se"), 0.2);
    assert.deepEqual(await testOf("--test", "lists/test.txt"), { keys: "lists/test.txt" });
    const column = ["--set", "split.test.column=part", "--set", "split.test.value=1"];
    assert.deepEqual(await testOf("--labels", "table.csv", ...column), { column: "part", value: 1 });
  });

  it("tune by what the file says of it, or by the defaults, and adjust it by --set", async () => {
    const given = `backbones: [small]\ntune: { epochs: 3, optimizer: { learningRate: 0.25 } }\n`;
    const { tune } = await recipeOf(["--tune", "--set", "tune.batchSize=8"], given);
    assert.deepEqual([tune?.epochs, tune?.batchSize], [3, 8]);
    assert.deepEqual([tune?.optimizer.type, tune?.optimizer.learningRate], ["adamw", 0.25]);
    const standard = recipeSchema.parse({ backbones: ["a"], tune: {} });
    const read = await recipeOf(["--backbone", "a", "--tune"]);
    assert.deepEqual([read.tune, read.split.test], [standard.tune, 0.15]);
    const nadam = await recipeOf(["--set", "tune.optimizer.type=nadam"], given);
    assert.deepEqual([nadam.tune?.optimizer.type, nadam.tune?.optimizer.learningRate], ["nadam", 5e-4]);
    assert.equal((await recipeOf([], given)).tune?.epochs, 3);
    await assert.rejects(recipeOf(["--set", "tune.optimizer.type=lbfgs"], given), /which is no optimizer/);
  });

  it("keep the folds of a file that tunes, and tune by the defaults where it says null", async () => {
    const folds = "backbones: [small]\ntune: { folds: 3, networks: folds }\n";
    const { tune } = await recipeOf(["--tune"], folds);
    assert.deepEqual([tune?.folds, tune?.networks], [3, "folds"]);
    assert.equal((await recipeOf(["--tune", "--set", "tune.folds=4"], folds)).tune?.folds, 4);
    assert.equal((await recipeOf(["--tune"], "backbones: [small]\ntune: null\n")).tune?.folds, 1);
  });

  it("name the field of tune for one of training, and no other head, where the recipe tunes", async () => {
    const refusalOf = (...flags: string[]): Promise<Error> =>
      recipeOf(["--backbone", "a", "--tune", ...flags]).then(
        () => assert.fail(`${flags.join(" ")} is not refused`),
        (thrown: Error) => thrown,
      );
    const { message } = await refusalOf("--epochs", "3", "--batch-size", "8");
    assert.match(message, /training\.epochs, training\.batchSize have no effect/);
    assert.match(message, /To tune with them set tune\.epochs, tune\.batchSize/);
    assert.doesNotMatch(message, /--head se/);
    assert.doesNotMatch((await refusalOf("--energy", "0.8")).message, /To tune with|--head se/);
  });

  it("let a head's flag alone adjust the default head", async () => {
    const read = await recipeOf(["--backbone", "a", "--effort", "quick"]);
    const standard = recipeSchema.parse({ backbones: ["a"] }).head;
    assert.deepEqual(read.head, { ...standard, effort: "quick" });
  });

  it("refuse fields that are none, also those of every object", async () => {
    for (const path of [
      "views.rotate",
      "__proto__.polluted",
      "views.__proto__.x",
      "constructor.x",
      "toString",
    ]) {
      const code = "invalid-argument";
      await assert.rejects(recipeOf(["--backbone", "a", "--set", `${path}=1`]), { code }, path);
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

  it("start afresh with the default options where they change a kind, and keep them where they do not", async () => {
    const base = "backbones: [a]\nhead: { type: se, reduction: 8, dropout: 0.25 }\n";
    const linear = { type: "linear", dropout: 0, bias: true };
    assert.deepEqual((await recipeOf(["--head", "linear"], base)).head, linear);
    assert.deepEqual((await recipeOf(["--set", "head.type=linear"], base)).head, linear);
    // Whichever stands first on the command line.
    const unbiased = ["--set", "head.bias=false", "--set", "head.type=linear"];
    assert.deepEqual((await recipeOf(unbiased, base)).head, { ...linear, bias: false });
    const same = (await recipeOf(["--head", "se", "--dropout", "0.125"], base)).head;
    assert.deepEqual(same, { ...same, type: "se", reduction: 8, dropout: 0.125 });
    // A kind that is not written down is the default one.
    const untyped = "backbones: [a]\nhead: { type: se }\ntraining: { optimizer: { learningRate: 0.5 } }\n";
    const rates = async (type: string) =>
      stepsOf((await recipeOf(["--optimizer", type], untyped)).training).optimizer.learningRate;
    assert.deepEqual([await rates("adam"), await rates("sgd")], [0.5, 0.01]);
  });

  it("refuse an option of another kind, naming the kind and its own options", async () => {
    const refusals = [
      [["--head", "linear", "--set", "head.reduction=8"], /head\.reduction.*the head linear.*dropout, bias/],
      [["--set", "head.hidden=[9]"], /head\.hidden \(an option of mlp\).*the head auto.*effort/],
      [["--epochs", "3"], /training\.epochs has no effect with the head auto.*--head se/],
      [["--set", "split.test.column=part"], /split\.test: legal are a share between 0 and 1/],
      [["--refit"], /training\.refit has no effect with the head auto.*--set head\.heads=refit/],
      [["--test", "1.5"], /split\.test: must be below 1 \(given 1\.5\)/],
      [["--effort", "slow"], /head\.effort: must be quick, default or best \(given "slow"\)/],
      [["--views", "1.5"], /views\.count: must be a whole number \(given 1\.5\)/],
      [
        ["--head", "se", "--set", "views.flips=[horizontal]", "--set", "serving.views=mirrored"],
        /serving\.views: views beyond the image itself need the head auto, .*the head is se/,
      ],
      [["--set", "serving.views=mirrored"], /need views\.flips that begin with horizontal/],
      [
        ["--optimizer", "adam", "--set", "training.optimizer.momentum=0.9"],
        /training\.optimizer\.momentum \(an option of sgd\).*the optimizer adam.*beta1/,
      ],
      [
        ["--schedule", "constant", "--set", "training.schedule.patience=3"],
        /training\.schedule\.patience \(an option of plateau\).*warmupEpochs/,
      ],
      [
        ["--id-column", "id"],
        /labels\.source\.idColumn \(an option of csv\).*folders, which takes no options/,
      ],
      [["--head", "forest"], /"forest".*no head.*auto, se, linear, mlp/],
      [["--no-svd", "--energy", "0.8"], /--energy with --no-svd/],
      [["--set", "views.shear=[1"], /no YAML/],
    ] as const;
    for (const [args, message] of refusals) {
      await assert.rejects(recipeOf(["--backbone", "a", ...args]), { code: "invalid-argument", message });
    }
  });

  it("take labels from a CSV file whatever the recipe took them from", async () => {
    const args = ["--backbone", "a", "--labels", "l.csv", "--classes", "c.txt", "--label-column", "breed"];
    const guessed = { delimiter: null, encoding: null };
    assert.deepEqual((await recipeOf(args)).labels, {
      source: { type: "csv", file: "l.csv", idColumn: "id", labelColumn: "breed", ...guessed },
      classes: "c.txt",
      lookAlikes: "refuse",
    });
    const sidecar = "backbones: [a]\nlabels: { source: { type: sidecar, extension: .lab } }\n";
    const { source } = (await recipeOf(["--labels", "l.csv"], sidecar)).labels;
    assert.deepEqual(source, {
      type: "csv",
      file: "l.csv",
      idColumn: "id",
      labelColumn: "label",
      ...guessed,
    });
    const breeds = "backbones: [a]\nlabels: { source: { type: csv, labelColumn: breed } }\n";
    const kept = (await recipeOf(["--labels", "l.csv"], breeds)).labels.source;
    assert.deepEqual(kept, { type: "csv", file: "l.csv", idColumn: "id", labelColumn: "breed", ...guessed });
  });

  it("set the schedule, the kept epoch, the refit and the normalisation", async () => {
    const args = ["--schedule", "cosine", "--keep", "loss", "--refit", "--normalization", "dataset"];
    const read = await recipeOf(["--backbone", "a", "--head", "se", ...args]);
    assert.deepEqual(read.training.schedule, { type: "cosine", minimum: 0, warmupEpochs: 0 });
    assert.deepEqual(
      [read.training.keep, read.training.refit, read.normalization],
      ["loss", true, "dataset"],
    );
    const refit = "backbones: [a]\nhead: { type: se }\ntraining: { refit: true }\n";
    assert.equal((await recipeOf([], refit)).training.refit, true);
    assert.equal((await recipeOf(["--no-refit"], refit)).training.refit, false);
  });

  it("lay a variant of a file over it, and refuse one that it has not", async () => {
    const base =
      "name: mine\nbackbones: [a]\nhead: { type: se, reduction: 8 }\nviews: { count: 3, rotation: 7 }\n" +
      "variants:\n  flat: { head: { type: linear, bias: false }, views: { count: 2 } }\n  same: { head: { dropout: 0.125 } }\n";
    await writeFile(join(folder, "variants.yaml"), base);
    const variant = (name: string) => recipeOf(["--recipe", `${join(folder, "variants.yaml")}${name}`]);
    const flat = await variant(":flat");
    assert.deepEqual(flat.head, { type: "linear", dropout: 0, bias: false });
    assert.deepEqual([flat.name, flat.views.count, flat.views.rotation], ["mine:flat", 2, 7]);
    const same = (await variant(":same")).head;
    assert.deepEqual(same, { ...same, type: "se", reduction: 8, dropout: 0.125 });
    assert.equal((await variant("")).name, "mine");
    await assert.rejects(variant(":other"), { code: "invalid-argument", message: /"other".*flat, same/ });
  });

  it("lie over a built-in recipe by its name, and an unknown name is refused with those that are", async () => {
    const args = ["--recipe", "dog-breeds", "--labels", "l.csv", "--backbone", "mine", "--epochs", "3"];
    const read = await recipeOf(args);
    assert.deepEqual([read.name, read.training.epochs, read.training.batchSize], ["dog-breeds", 3, 128]);
    assert.deepEqual(read.backbones, [{ name: "mine", inputSize: null, pooling: null }]);
    for (const name of ["dog-breed", "", "dog-breeds:none"]) {
      const legal = name.includes(":") ? /it has none/ : /dog-breeds, huawei-40/;
      await assert.rejects(recipeOf(["--recipe", name]), { code: "invalid-argument", message: legal });
    }
  });
});
