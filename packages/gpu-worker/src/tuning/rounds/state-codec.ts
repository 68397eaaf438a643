import { TrommelError, type NamedTensor } from "@trommel/common";
import { decodeSafetensors, encodeSafetensors, type Tensor } from "@trommel/common/codec";
import type { TuningState } from "../engine/tuner.js";
import type { Checkpoint } from "./merge-replicas.js";

/**
 * Checkpoints and changes as safetensors: names of the state as they are, `outer/…` for the outer momentum, `replicas/<i>/…` for what
 * each replica has of its own. The same state gives the same bytes, whatever the rounds it was reached in.
 */

type Tensors = ReadonlyMap<string, NamedTensor>;

export function encodeState({ step, tensors }: TuningState): Uint8Array {
  return encode(step, tensors);
}

/** @throws TrommelError `corrupt` */
export function decodeState(bytes: Uint8Array, name: string): TuningState {
  return decode(bytes, name);
}

export function encodeCheckpoint({ step, shared, outer, replicas }: Checkpoint): Uint8Array {
  const under = (prefix: string, of: Tensors) =>
    [...of].map(([name, tensor]) => [`${prefix}/${name}`, tensor] as const);
  return encode(
    step,
    [
      ...shared,
      ...under("outer", outer),
      ...replicas.flatMap((of, replica) => under(`replicas/${replica}`, of)),
    ],
    { replicas: String(replicas.length) },
  );
}

/** @throws TrommelError `corrupt` */
export function decodeCheckpoint(bytes: Uint8Array, name: string): Checkpoint {
  const { step, tensors, metadata } = decode(bytes, name);
  const count = Number(metadata["replicas"]);
  if (!Number.isSafeInteger(count) || count < 1)
    throw corrupt(name, "it does not say how many replicas it holds");
  const shared = new Map<string, NamedTensor>();
  const outer = new Map<string, NamedTensor>();
  const replicas = Array.from({ length: count }, () => new Map<string, NamedTensor>());
  for (const [key, tensor] of tensors) {
    const [kind = "", number = ""] = key.split("/");
    if (kind === "outer") outer.set(key.slice("outer/".length), tensor);
    else if (kind !== "replicas") shared.set(key, tensor);
    else replicas[Number(number)]?.set(key.slice(`replicas/${number}/`.length), tensor);
  }
  return { step, shared, outer, replicas };
}

function encode(
  step: number,
  tensors: Iterable<readonly [string, NamedTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const entries = [...tensors].map(([name, { shape, data }]): [string, Tensor] => [
    name,
    { dtype: "F32", shape: [...shape], data },
  ]);
  return encodeSafetensors({
    tensors: Object.fromEntries(entries),
    metadata: { ...metadata, step: String(step) },
  });
}

function decode(
  bytes: Uint8Array,
  name: string,
): TuningState & { readonly metadata: Readonly<Record<string, string>> } {
  const { tensors: found, metadata } = decodeSafetensors(bytes, { name });
  const step = Number(metadata["step"]);
  if (metadata["step"] === undefined || !Number.isSafeInteger(step) || step < 0)
    throw corrupt(name, `its step is ${metadata["step"] ?? "missing"}`);
  const tensors = new Map<string, NamedTensor>();
  for (const [key, { dtype, shape, data }] of Object.entries(found)) {
    if (dtype !== "F32") throw corrupt(name, `${key} is ${dtype} and not F32`);
    tensors.set(key, { shape, data });
  }
  return { step, tensors, metadata };
}

function corrupt(name: string, why: string): TrommelError {
  return new TrommelError(
    "corrupt",
    `cannot read ${name}: ${why}. Remove it and its marker, so that it is made again`,
  );
}
