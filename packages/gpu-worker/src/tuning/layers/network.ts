import type { Pooling } from "@trommel/common";
import type { Value as CompiledValue } from "../../backbone/compile/compile-context.js";
import { materialise, weightOf } from "../../backbone/compile/compile-context.js";
import { consumersOf, emitLayers } from "../../backbone/compile/layers-to-onnx.js";
import type { BoundLayer } from "../../backbone/layers/bound-layer.js";
import type { CutLayers } from "../../backbone/layers/cut-layers.js";
import { layerError, noPads, numberOf, type EdgePairs } from "../../backbone/layers/layer-config.js";
import { activate } from "../tape/activation.js";
import type { FusedActivation } from "../tape/fused-activation.js";
import {
  normalizeByBatch,
  normalizeByConstants,
  normalizeByGroup,
  type BatchStatistics,
} from "../tape/normalization.js";
import { averageGlobally, maximumGlobally, pad } from "../tape/pooling.js";
import type { Tape, Weight } from "../tape/tape.js";
import { Value } from "../values/value.js";
import { fusable, fusableLayer } from "./fusable.js";
import type { LayerContext, Placed } from "./layer-context.js";
import { layerOperations } from "./layer-operations.js";
import { groupEpsilon, groupsOf, lonePassages, untrainedPrefix, type Norm } from "./trained-weights.js";

export interface NetworkOptions {
  readonly tape: Tape;
  readonly cut: CutLayers;
  readonly inputSize: number;
  /** Name of the value float32 [N, 3, inputSize, inputSize]. */
  readonly image: string;
  readonly trained: ReadonlySet<string>;
  readonly norm: Norm;
  readonly pooling: Pooling;
  /** A layer's weight: an input of the graph if it trains, otherwise a constant. */
  readonly weight: (layer: BoundLayer, name: string) => Weight;
}

export interface EmittedNetwork {
  /** [N, D] */
  readonly embedding: Value;
  /** What the batch normalisations measured, by layer. */
  readonly statistics: ReadonlyMap<string, BatchStatistics>;
  /** The size of all layers' outputs together. */
  readonly layerBytes: number;
}

/**
 * The network as a step of training sees it. Layers that no trained one comes before are emitted as serving does, with
 * constant weights; the others go onto the tape.
 */
export function emitNetwork(options: NetworkOptions): EmittedNetwork {
  return new NetworkEmission(options).run();
}

class NetworkEmission implements LayerContext {
  readonly options: NetworkOptions;
  readonly tape: Tape;
  readonly #values = new Map<string, Placed>();
  readonly #consumers: ReadonlyMap<string, readonly BoundLayer[]>;
  readonly #statistics = new Map<string, BatchStatistics>();
  /** By batch normalisation, see `shiftFor`. */
  readonly #shifts = new Map<string, string>();

  constructor(options: NetworkOptions) {
    this.options = options;
    this.tape = options.tape;
    this.#consumers = consumersOf(options.cut.layers);
  }

  run(): EmittedNetwork {
    const { cut, trained } = this.options;
    const prefix = untrainedPrefix(cut.layers, trained);
    const names = new Set(prefix.map(({ name }) => name));
    this.#emitPrefix(prefix, names);
    for (const layer of cut.layers) {
      if (!names.has(layer.name) && !this.#values.has(layer.name)) this.#emit(layer);
    }
    const layerBytes = this.#keepBoundaries();
    return { embedding: this.#pooled(), statistics: this.#statistics, layerBytes };
  }

  rawInput(layer: BoundLayer): Placed {
    const [name, ...others] = layer.inputs;
    if (name === undefined || others.length > 0)
      throw layerError(layer, `it needs one input and has ${layer.inputs.length}`, "corrupt");
    return this.#valueOf(layer, name);
  }

  input(layer: BoundLayer): Value {
    return this.#materialised(this.rawInput(layer));
  }

  inputs(layer: BoundLayer): readonly Value[] {
    return layer.inputs.map((name) => this.#materialised(this.#valueOf(layer, name)));
  }

  set(layer: BoundLayer, value: Value, pads: EdgePairs = noPads): void {
    this.#values.set(layer.name, { value, pads });
  }

  weight(layer: BoundLayer, name: string): Weight {
    return this.options.weight(layer, name);
  }

  optionalWeight(layer: BoundLayer, name: string): Weight | undefined {
    return layer.weights.has(name) ? this.weight(layer, name) : undefined;
  }

  activated(layer: BoundLayer, operation: (activation: FusedActivation | undefined) => Value): void {
    const own = layer.config["activation"];
    const kind = typeof own === "string" ? own : "linear";
    if (kind !== "linear") {
      const fused = fusable(kind);
      this.set(
        layer,
        fused === undefined ? activate(this.tape, operation(undefined), kind) : operation(fused),
      );
      return;
    }
    const following = this.#followingActivation(layer);
    const value = operation(following?.kind);
    this.set(following?.layer ?? layer, value);
  }

  shiftFor(layer: BoundLayer): string | undefined {
    const { norm, trained, cut } = this.options;
    const [only, ...others] = this.#consumers.get(layer.name) ?? [];
    const isAlone = only?.className === "BatchNormalization" && others.length === 0;
    const isLinear = (layer.config["activation"] ?? "linear") === "linear";
    if (!isAlone || !isLinear || norm !== "batch" || !trained.has(only.name) || layer.name === cut.output)
      return undefined;
    const shift = this.tape.graph.node("Neg", [this.weight(only, "moving_mean").value]);
    this.#shifts.set(only.name, shift);
    return shift;
  }

  normalize(layer: BoundLayer, input: Value): void {
    const { norm, trained } = this.options;
    const [gamma, beta] = [this.optionalWeight(layer, "gamma"), this.optionalWeight(layer, "beta")];
    const epsilon = numberOf(layer, "epsilon", 1e-3);
    const kind = trained.has(layer.name) ? norm : "frozen";
    this.activated(layer, (activation) => {
      const options = { gamma, beta, epsilon, activation };
      if (kind === "group")
        return normalizeByGroup(this.tape, input, {
          ...options,
          epsilon: groupEpsilon,
          groups: groupsOf(input.channels),
        });
      if (kind === "frozen") {
        const mean = weightOf(layer, "moving_mean").values;
        const variance = weightOf(layer, "moving_variance").values;
        return normalizeByConstants(this.tape, input, { ...options, mean, variance });
      }
      const { output, statistics } = normalizeByBatch(this.tape, input, {
        ...options,
        shift: this.#shifts.get(layer.name),
      });
      this.#statistics.set(layer.name, statistics);
      return output;
    });
  }

  #emit(layer: BoundLayer): void {
    const operation = layerOperations[layer.className];
    if (operation === undefined) {
      throw layerError(
        layer,
        `this layer type cannot be tuned (legal: ${Object.keys(layerOperations).join(", ")})`,
      );
    }
    operation(this, layer);
  }

  #emitPrefix(prefix: readonly BoundLayer[], names: ReadonlySet<string>): void {
    const { tape, image, inputSize, cut } = this.options;
    const { graph } = tape;
    const read = prefix.filter(({ name }) => {
      const readers = this.#consumers.get(name) ?? [];
      return name === cut.output || readers.some((reader) => !names.has(reader.name));
    });
    const kept = new Set(read.map(({ name }) => name));
    const values = emitLayers(graph, { layers: prefix, image, inputSize, kept });
    for (const layer of read) {
      const { pendingPads = noPads, ...value } = values.get(layer.name) as CompiledValue;
      const unpadded = pendingPads.some((size) => size !== 0)
        ? materialise({ graph }, { ...value, pendingPads })
        : value;
      this.set(
        layer,
        new Value(storedShape(layer, unpadded.shape, tape.batch), false, { plain: unpadded.name }),
      );
    }
  }

  /** Values that alone lead from one segment of layers to the next are kept, see `Recomputation`. @returns bytes of all values */
  #keepBoundaries(): number {
    const { layers } = this.options.cut;
    const lone = lonePassages(layers);
    let [allBytes, passedBytes] = [0, 0];
    for (const { name } of layers) {
      const value = this.#values.get(name)?.value;
      allBytes += value?.sizeBytes ?? 0;
      passedBytes += value?.sizeBytes ?? 0;
      if (value === undefined || !lone.has(name) || passedBytes < this.tape.segmentBytes) continue;
      this.tape.keep(value);
      passedBytes = 0;
    }
    return allBytes;
  }

  #pooled(): Value {
    const { cut, pooling } = this.options;
    const value = this.#materialised(this.#valueOf(cut.layers.at(-1) ?? cut.input, cut.output));
    if (value.shape.length === 2) return value;
    return pooling === "average" ? averageGlobally(this.tape, value) : maximumGlobally(this.tape, value);
  }

  /** The activation that alone reads a layer's output, if it can be fused. */
  #followingActivation(
    layer: BoundLayer,
  ): { readonly layer: BoundLayer; readonly kind: FusedActivation } | undefined {
    if (layer.name === this.options.cut.output) return undefined;
    const [only, ...others] = this.#consumers.get(layer.name) ?? [];
    if (only === undefined || others.length > 0) return undefined;
    const kind = fusableLayer(only);
    return kind === undefined ? undefined : { layer: only, kind };
  }

  #materialised({ value, pads }: Placed): Value {
    return pads.some((size) => size !== 0) ? pad(this.tape, value, pads) : value;
  }

  #valueOf(layer: BoundLayer, name: string): Placed {
    const placed = this.#values.get(name);
    if (placed === undefined) throw layerError(layer, `its input "${name}" has no value yet`, "corrupt");
    return placed;
  }
}

/** ONNX's shape of a value whose shape Keras gives without the batch. */
function storedShape(layer: BoundLayer, shape: readonly number[], batch: number): readonly number[] {
  if (shape.length === 1) return [batch, ...shape];
  const [height, width, channels] = shape;
  if (shape.length === 3) return [batch, channels ?? 0, height ?? 0, width ?? 0];
  throw layerError(layer, `its output [${shape.join(", ")}] is neither a map nor a vector`);
}
