import { Option, type Command } from "commander";
import { backboneOptionsAtMost, axisOrders, channelOrders, outputPoolings } from "../../index.js";
import { globals, loaded, upTo, wholeNumber } from "./shared-flags.js";
import type { Terminal } from "../terminal.js";

export function addBackboneCommands(program: Command, terminal: Terminal): void {
  const backbone = program.command("backbone").description("bring in and look at frozen networks");
  encoderFlags(choiceFlags(globals(backbone.command("import <source>"), terminal)))
    .description(
      "import a Keras-layers model.json, an ONNX encoder, or Keras weights (.h5, safetensors) with --arch; by path, s3:// or https://",
    )
    .option("--arch <architecture>", "architecture of the zoo that a file of weights is for")
    .option("--sha256 <hex>", "what the file must hash to; required for https://")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneImport));
  encoderFlags(choiceFlags(globals(backbone.command("pull <weights>"), terminal)))
    .description(
      "download public weights by their name in the catalogue, or hf:<org>/<name>[@revision] from a hub, verify and import them",
    )
    .option(
      "--file <path>",
      "ONNX file in a hub's repository (default: onnx/vision_model.onnx, onnx/model.onnx or model.onnx)",
    )
    .option("--catalogue <file>", "a YAML or JSON catalogue instead of the built-in one")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backbonePull));
  globals(backbone.command("catalogue"), terminal)
    .description("list the public weights that 'pull' knows")
    .option("--catalogue <file>", "a YAML or JSON catalogue instead of the built-in one")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneCatalogue));
  choiceFlags(globals(backbone.command("random"), terminal))
    .description("make a backbone with random weights, to try a recipe without its own")
    .requiredOption("--arch <architecture>", "architecture of the zoo")
    .option("--seed <number>", "seed of the weights", wholeNumber, 0)
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneRandom));
  globals(backbone.command("quantize <backbone>"), terminal)
    .description(
      "make an int8 copy of a convolutional backbone, two to three times as fast on CPUs with VNNI",
    )
    .requiredOption(
      "--pictures <prefix>",
      "pictures like those that it will see; ranges are measured on them",
    )
    .option("--count <pictures>", "how many of them", upTo(backboneOptionsAtMost.pictures), 64)
    .option("--name <name>", "name of the copy (default: the backbone's with -int8)")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneQuantize));
  globals(backbone.command("ls"), terminal)
    .description("list the store's backbones")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneList));
  globals(backbone.command("show <name>"), terminal)
    .description("show one backbone's spec")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneShow));
  globals(backbone.command("remove <name@hash>"), terminal)
    .description("say what a backbone takes in the store; with --yes, remove it unless a run uses it")
    .option("--yes", "remove it")
    .action(loaded(terminal, async () => (await import("../commands/backbone.js")).backboneRemove));
}

/** What may be said of every new backbone. */
function choiceFlags(command: Command): Command {
  return command
    .option("--name <name>", "name of the backbone (default: the catalogue's, else that of --arch)")
    .option(
      "--size <pixels>",
      "side of the square input (default: the model's, catalogue's or architecture's)",
      upTo(backboneOptionsAtMost.inputSize),
    )
    .option(
      "--normalize <how>",
      "tf, torch, unit, none, or six numbers: means, deviations (default: the catalogue's or architecture's; what a network expects that normalises its pixels itself; else tf)",
    )
    .addOption(
      new Option(
        "--channels <order>",
        "order the network wants (default: the catalogue's or architecture's, else rgb)",
      ).choices([...channelOrders]),
    )
    .addOption(
      new Option(
        "--pooling <how>",
        "pooling of a map (average, max; default: average) or of an ONNX encoder's tokens (cls, mean, cls+mean; default: by its config.json)",
      ).choices([...outputPoolings]),
    );
}

/** What may be said of a network that comes with its own layers. */
function encoderFlags(command: Command): Command {
  return command
    .option(
      "--output <layer>",
      "layer or tensor whose value is the embedding (default: the only output, else image_embeds, pooler_output or last_hidden_state)",
    )
    .option(
      "--force-normalize",
      "keep a --normalize that comes on top of the normalisation that the network begins with",
    )
    .addOption(
      new Option(
        "--input-layout <order>",
        "order of an ONNX encoder's input axes, if its graph accepts both",
      ).choices([...axisOrders]),
    )
    .addOption(
      new Option(
        "--output-layout <order>",
        "order of an ONNX encoder's output axes, if its graph does not show which holds the channels",
      ).choices([...axisOrders]),
    )
    .option(
      "--prefix-tokens <count>",
      "how many of an ONNX encoder's tokens come before those of the patches (default: what its graph shows)",
      wholeNumber,
    );
}
