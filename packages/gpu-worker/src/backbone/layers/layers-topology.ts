import { z } from "zod";
import { TrommelError } from "@trommel/common";

export type LayerConfig = Readonly<Record<string, unknown>>;

/** One call of one layer, with nested models flattened. */
export interface LayerNode {
  /** Unique in the model: the layer's own name, prefixed with the nested model's if two would be equal. */
  readonly name: string;
  readonly className: string;
  readonly config: LayerConfig;
  /** Names of the nodes whose outputs it reads, in order. */
  readonly inputs: readonly string[];
  /** Possible places of its weights in the manifest, most specific first: `outer/layer`, then `layer`. */
  readonly weightPaths: readonly string[];
}

export interface LayersTopology {
  readonly nodes: ReadonlyMap<string, LayerNode>;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const layer = z.object({
  class_name: z.string(),
  config: z.unknown(),
  name: z.string().optional(),
  inbound_nodes: z.array(z.unknown()).optional(),
});
type Layer = z.infer<typeof layer>;

const inboundTensor = z.tuple([z.string(), z.int().nonnegative(), z.int().nonnegative()]).rest(z.unknown());
const inboundNode = z.array(inboundTensor);
const functionalConfig = z.object({
  layers: z.array(layer),
  input_layers: z.array(z.unknown()),
  output_layers: z.array(z.unknown()),
});
const sequentialConfig = z.union([
  z.array(layer),
  z.object({ layers: z.array(layer) }).transform((config) => config.layers),
]);
const plainConfig = z.record(z.string(), z.unknown());

const modelClasses = new Set(["Model", "Functional", "Sequential"]);

/** Nested models multiply calls; the largest network of the zoo has a few hundred layers. */
const maxCalls = 20_000;

/** Reads Keras's model configuration, Sequential or functional, as written by Keras 2 and TensorFlow.js. */
export function readTopology(model: unknown): LayersTopology {
  const parsed = parse(layer, model, "the model");
  const nodes = new Map<string, LayerNode>();
  const { inputs, outputs } = new TopologyReader(nodes).readModel(parsed, [], undefined);
  return { nodes, inputs, outputs };
}

class TopologyReader {
  readonly #nodes: Map<string, LayerNode>;
  #calls = 0;

  constructor(nodes: Map<string, LayerNode>) {
    this.#nodes = nodes;
  }

  /**
   * @param path names of the enclosing models
   * @param feeds the inputs of a nested model; undefined for its own InputLayers
   */
  readModel(
    model: Layer,
    path: readonly string[],
    feeds: readonly string[] | undefined,
  ): { inputs: readonly string[]; outputs: readonly string[] } {
    if (model.class_name === "Sequential") return this.#readSequential(model, path, feeds);
    return this.#readFunctional(model, path, feeds);
  }

  #readSequential(
    model: Layer,
    path: readonly string[],
    feeds: readonly string[] | undefined,
  ): { inputs: readonly string[]; outputs: readonly string[] } {
    const layers = parse(sequentialConfig, model.config, "a Sequential model's config");
    let current = feeds ?? [];
    let inputs = current;
    for (const item of layers) {
      const isInput = item.class_name === "InputLayer";
      if (isInput && current.length > 0) continue;
      if (current.length === 0) {
        current = [isInput ? this.#add(item, path, [], 0) : this.#addImpliedInput(item, path)];
        inputs = current;
        if (isInput) continue;
      }
      current = this.#call(item, path, current, 0);
    }
    return { inputs, outputs: current };
  }

  #readFunctional(
    model: Layer,
    path: readonly string[],
    feeds: readonly string[] | undefined,
  ): { inputs: readonly string[]; outputs: readonly string[] } {
    const config = parse(functionalConfig, model.config, `the config of ${model.class_name}`);
    const byName = new Map(config.layers.map((item) => [layerName(item), item]));
    const inputTensors = tensorList(config.input_layers);
    const called = new Map<string, readonly string[]>();
    inputTensors.forEach(([name], index) => {
      const feed = feeds?.[index];
      const item = byName.get(name);
      if (item === undefined) throw malformed(`input layer ${name} is not listed`);
      called.set(`${name}:0`, [feed ?? this.#add(item, path, [], 0)]);
    });
    const resolve = (name: string, callIndex: number, tensorIndex: number): string => {
      const key = `${name}:${callIndex}`;
      let outputs = called.get(key);
      if (outputs === undefined) {
        called.set(key, []); // a cycle finds this entry and is refused below
        const item = byName.get(name);
        if (item === undefined) throw malformed(`layer ${name} is used but not listed`);
        const inbound = inboundTensors(item, callIndex).map(([from, call, tensor]) =>
          resolve(from, call, tensor),
        );
        outputs = this.#call(item, path, inbound, callIndex);
        called.set(key, outputs);
      }
      const output = outputs[tensorIndex];
      if (output === undefined)
        throw malformed(`tensor ${tensorIndex} of layer ${name} does not exist or depends on itself`);
      return output;
    };
    const outputs = tensorList(config.output_layers).map(([name, call, tensor]) =>
      resolve(name, call, tensor),
    );
    return { inputs: inputTensors.map(([name]) => called.get(`${name}:0`)?.[0] ?? ""), outputs };
  }

  #call(
    item: Layer,
    path: readonly string[],
    inputs: readonly string[],
    callIndex: number,
  ): readonly string[] {
    this.#calls += 1;
    if (this.#calls > maxCalls) throw malformed(`it calls more than ${maxCalls} layers`);
    if (modelClasses.has(item.class_name)) {
      const name = callIndex === 0 ? layerName(item) : `${layerName(item)}_${callIndex}`;
      return this.readModel(item, [...path, name], inputs).outputs;
    }
    return [this.#add(item, path, inputs, callIndex)];
  }

  #add(item: Layer, path: readonly string[], inputs: readonly string[], callIndex: number): string {
    const own = layerName(item);
    const called = callIndex === 0 ? own : `${own}_call${callIndex}`;
    const full = [...path, called].join("/");
    const name = this.#nodes.has(called) ? full : called;
    if (this.#nodes.has(name)) throw malformed(`two layers have the name ${name}`);
    const weightPaths = [...path.map((_, index) => [...path.slice(index), own].join("/")), own];
    const config = parse(plainConfig, item.config, `the config of layer ${own}`);
    this.#nodes.set(name, { name, className: item.class_name, config, inputs, weightPaths });
    return name;
  }

  /** In a Sequential model without InputLayer the first layer states the shape. */
  #addImpliedInput(first: Layer, path: readonly string[]): string {
    const config = parse(plainConfig, first.config, `the config of layer ${layerName(first)}`);
    if (modelClasses.has(first.class_name)) {
      return this.#add({ class_name: "InputLayer", config: {}, name: "input" }, path, [], 0);
    }
    const input = { batch_input_shape: config["batch_input_shape"], name: `${layerName(first)}_input` };
    return this.#add({ class_name: "InputLayer", config: input, name: input.name }, path, [], 0);
  }
}

function layerName(item: Layer): string {
  const config = item.config as { name?: unknown } | null;
  const name = item.name ?? config?.name;
  if (typeof name === "string" && name !== "") return name;
  throw malformed(`a layer of type ${item.class_name} has no name`);
}

function inboundTensors(item: Layer, callIndex: number): [string, number, number][] {
  const node: unknown = item.inbound_nodes?.[callIndex];
  if (typeof node === "object" && node !== null && "args" in node) {
    throw new TrommelError(
      "unsupported",
      "cannot read the layers model: its topology is from Keras 3. Convert it with Keras 2 (TF_USE_LEGACY_KERAS=1), or export it to ONNX",
    );
  }
  const parsed = parse(inboundNode, node, `call ${callIndex} of layer ${layerName(item)}`);
  return parsed.map(([name, call, tensor, options]) => {
    if (
      options !== undefined &&
      Object.keys(options as object).some((key) => key !== "training" && key !== "mask")
    ) {
      throw malformed(
        `layer ${layerName(item)} is called with arguments: ${Object.keys(options as object).join(", ")}`,
      );
    }
    return [name, call, tensor];
  });
}

/** One `["input_1", 0, 0]`, or a list of them. */
function tensorList(value: readonly unknown[]): [string, number, number][] {
  const list = typeof value[0] === "string" ? [value] : value;
  return list.map((item) => {
    const [name, call, tensor] = parse(inboundTensor, item, "the model's inputs and outputs");
    return [name, call, tensor];
  });
}

function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw malformed(
    `${what} does not have the form that Keras writes (${z.prettifyError(result.error).replaceAll("\n", " ")})`,
  );
}

function malformed(why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read the layers model: ${why}. Convert the model again with tensorflowjs_converter --output_format tfjs_layers_model`,
  );
}
