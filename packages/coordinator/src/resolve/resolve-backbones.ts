import {
  backboneId,
  resolveBackbone,
  TrommelError,
  type BackboneSpec,
  resolveNormalization,
  type ObjectStore,
  type Recipe,
} from "@trommel/common";
import { hubAdvice } from "@trommel/common/artefacts";

type Reference = Recipe["backbones"][number];

/**
 * The backbones that a recipe names, in its order, each imported as the recipe needs it.
 * @throws TrommelError `not-found` naming every one that is missing and how to get it, `invalid-argument` for one that
 *   was imported at another size or with another pooling, or whose name is ambiguous
 */
export async function resolveBackbones(
  store: ObjectStore,
  { backbones: references, normalization }: Pick<Recipe, "backbones" | "normalization">,
): Promise<BackboneSpec[]> {
  const specs: BackboneSpec[] = [];
  const missing: { reference: Reference; error: TrommelError }[] = [];
  for (const reference of references) {
    try {
      const spec = await resolveBackbone(store, reference.name);
      checkSpec(spec, reference);
      checkScale(spec, normalization);
      specs.push(spec);
    } catch (thrown) {
      if (!(thrown instanceof TrommelError) || !isAbsence(thrown)) throw thrown;
      missing.push({ reference, error: thrown });
    }
  }
  if (missing.length > 0) throw absent(store, missing);
  return specs;
}

/** A missing bucket is `not-found` too, and names no backbones. */
function isAbsence(error: TrommelError): boolean {
  return error.code === "not-found" && error.context["ids"] !== undefined;
}

function absent(
  store: ObjectStore,
  missing: readonly { readonly reference: Reference; readonly error: TrommelError }[],
): TrommelError {
  const names = missing.map(({ reference }) => reference.name);
  const ids = missing[0]?.error.context["ids"];
  const held = Array.isArray(ids) && ids.length > 0 ? `it holds ${ids.join(", ")}` : "it holds none";
  const commands = missing.map(({ reference }) => {
    const hub = hubAdvice(reference.name);
    return hub === undefined
      ? `'trommel backbone import <file> --name ${reference.name.split("@")[0]}${importFlags(reference)}'`
      : `'${hub.pull}${importFlags(reference)}'`;
  });
  const renamed = missing.flatMap(({ reference }) => {
    const hub = hubAdvice(reference.name);
    return hub === undefined ? [] : [`${hub.name} instead of ${reference.name}`];
  });
  const inStore =
    renamed.length === 0 ? "" : `. A recipe names a backbone as the store does: ${renamed.join(", ")}`;
  return new TrommelError(
    "not-found",
    `cannot find the backbone${names.length === 1 ? "" : "s"} ${names.join(", ")} in ${store.url}: ${held}. ` +
      `Get ${missing.length === 1 ? "it" : "them"} with ${commands.join(" and ")}, or with 'backbone pull' (public weights) or 'backbone random' (to try things out) ` +
      `and the same flags; or name ${missing.length === 1 ? "another" : "others"} with --backbone. 'trommel recipe show' prints what a built-in recipe says of its own${inStore}`,
    { context: { names } },
  );
}

function checkSpec(spec: BackboneSpec, reference: Reference): void {
  const { inputSize, pooling } = reference;
  const faults = [
    ...(inputSize === null || inputSize === spec.inputSize
      ? []
      : [`it was imported for ${spec.inputSize} pixels and the recipe needs ${inputSize}`]),
    ...(pooling === null || pooling === spec.source.pooling
      ? []
      : [`its pooling at import was ${spec.source.pooling} and the recipe needs ${pooling}`]),
  ];
  if (faults.length === 0) return;
  const asItIs = `to use it as it is, name all of the recipe's backbones with --backbone, this one as ${backboneId(spec)}`;
  throw new TrommelError(
    "invalid-argument",
    `cannot use the backbone ${backboneId(spec)}: ${faults.join(", and ")}. ` +
      `Import it again with${importFlags(reference)} --name <another name> and name that with --backbone; ${asItIs}`,
    { context: { id: backboneId(spec), faults } },
  );
}

/** Deviations of photographs are near 60 of 255; the measured one is not known yet. */
const usualDeviation = 58;
const scalesApart = 4;

/**
 * A network fed on pixels of another scale than it was trained on gives embeddings that look like any others. Keras's ResNets
 * want deviations of 1, and a recipe made for other weights of the same architecture may divide by 58.
 */
function checkScale(spec: BackboneSpec, asked: Recipe["normalization"]): void {
  const resolved = resolveNormalization(asked);
  if (resolved === "backbone") return;
  const own = spec.normalization.deviation;
  const given = resolved === "dataset" ? own.map(() => usualDeviation) : resolved.deviation;
  const apart = Math.max(
    ...own.map((value, i) => Math.max(value / (given[i] ?? value), (given[i] ?? value) / value)),
  );
  if (apart <= scalesApart) return;
  throw new TrommelError(
    "invalid-argument",
    `cannot use the backbone ${backboneId(spec)}: it was imported to divide its pixels by ${own.join(", ")}, and the recipe's normalization divides them by about ${given.join(", ")}. ` +
      `Give --normalization backbone if the import is right for its weights, or import it again with the recipe's --normalize (and --channels)`,
    { context: { id: backboneId(spec), own: own.map(String), given: given.map(String) } },
  );
}

function importFlags({ inputSize, pooling }: Reference): string {
  return (
    (inputSize === null ? "" : ` --size ${inputSize}`) + (pooling === null ? "" : ` --pooling ${pooling}`)
  );
}
