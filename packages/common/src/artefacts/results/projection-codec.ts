import {
  decodeSafetensors,
  encodeSafetensors,
  requireTensor,
  type Safetensors,
} from "../../codec/safetensors.js";
import type { Tensor } from "../../codec/tensor-dtype.js";
import { TrommelError } from "../../errors.js";
import type { Gram, HeadWeights, NamedTensor, Projection } from "./projection.js";

/** Grams, projections and head weights as safetensors. The same values give the same bytes. */

export function encodeGram(gram: Gram): Uint8Array {
  const { dimension, rowCount, roundingError } = gram;
  return encodeSafetensors({
    tensors: {
      products: { dtype: "F64", shape: [dimension, dimension], data: gram.products },
      column_sum: { dtype: "F64", shape: [dimension], data: gram.columnSum },
    },
    metadata: {
      rows: String(rowCount),
      ...(roundingError === undefined ? {} : { rounding_error: String(roundingError) }),
    },
  });
}

export function decodeGram(bytes: Uint8Array, name: string): Gram {
  const file = decodeSafetensors(bytes, { name });
  const products = requireTensor(file, "products", "F64", 2);
  const columnSum = requireTensor(file, "column_sum", "F64", 1).data;
  const rowCount = Number(file.metadata["rows"]);
  const stated = file.metadata["rounding_error"];
  const roundingError = stated === undefined ? undefined : Number(stated);
  const dimension = columnSum.length;
  if (
    products.shape.some((side) => side !== dimension) ||
    !Number.isSafeInteger(rowCount) ||
    rowCount < 0 ||
    Number.isNaN(roundingError) ||
    (roundingError ?? 0) < 0
  ) {
    throw new TrommelError(
      "corrupt",
      `cannot read the gram ${name}: its shapes, its row count or its rounding error do not fit`,
    );
  }
  const gram = { dimension, rowCount, products: products.data, columnSum };
  return roundingError === undefined ? gram : { ...gram, roundingError };
}

export function encodeProjection(projection: Projection): Uint8Array {
  const { dimension, components } = projection;
  return encodeSafetensors({
    tensors: {
      mean: { dtype: "F32", shape: [dimension], data: projection.mean },
      basis: { dtype: "F32", shape: [dimension, components], data: projection.basis },
      singular_values: { dtype: "F64", shape: [components], data: projection.singularValues },
      scale: { dtype: "F64", shape: [1], data: Float64Array.of(projection.scale) },
      energy_kept: { dtype: "F64", shape: [1], data: Float64Array.of(projection.energyKept) },
    },
  });
}

export function decodeProjection(bytes: Uint8Array, name: string): Projection {
  const file = decodeSafetensors(bytes, { name });
  const basis = requireTensor(file, "basis", "F32", 2);
  const [dimension = 0, components = 0] = basis.shape;
  const mean = requireTensor(file, "mean", "F32", 1).data;
  const singularValues = requireTensor(file, "singular_values", "F64", 1).data;
  const scale = requireTensor(file, "scale", "F64", 1).data[0];
  const energyKept = requireTensor(file, "energy_kept", "F64", 1).data[0];
  if (
    mean.length !== dimension ||
    singularValues.length !== components ||
    scale === undefined ||
    energyKept === undefined
  ) {
    throw new TrommelError("corrupt", `cannot read the projection ${name}: its shapes do not fit`);
  }
  return { dimension, components, mean, basis: basis.data, singularValues, scale, energyKept };
}

export function encodeHeadWeights(
  weights: HeadWeights,
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  return encodeSafetensors({ tensors: headTensors(weights, ""), metadata });
}

/** A head as tensors of a file that has others too. @param prefix before each weight's name */
export function headTensors(weights: HeadWeights, prefix: string): Record<string, Tensor> {
  const entries = Object.entries(weights).map(
    ([name, { shape, data }]) => [`${prefix}${name}`, { dtype: "F32" as const, shape, data }] as const,
  );
  return Object.fromEntries(entries);
}

/** The head whose weights have that prefix; without any weight if the file has none. */
export function headAt({ tensors }: Safetensors, prefix: string): HeadWeights {
  const weights = Object.entries(tensors).flatMap(([name, { dtype, shape, data }]) =>
    name.startsWith(prefix) && dtype === "F32" ? [[name.slice(prefix.length), { shape, data }] as const] : [],
  );
  return Object.fromEntries(weights);
}

export function decodeHeadWeights(bytes: Uint8Array, name: string): HeadWeights {
  const file = decodeSafetensors(bytes, { name });
  const weights = Object.entries(file.tensors).map(([tensorName, tensor]): [string, NamedTensor] => {
    if (tensor.dtype !== "F32") {
      throw new TrommelError(
        "corrupt",
        `cannot read the head ${name}: '${tensorName}' is ${tensor.dtype}, not F32`,
      );
    }
    return [tensorName, { shape: tensor.shape, data: tensor.data }];
  });
  // A tensor called __proto__ must stay a tensor.
  return Object.fromEntries(weights);
}
