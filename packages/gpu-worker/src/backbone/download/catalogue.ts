import { hubSpelling } from "@trommel/common/artefacts";
import { TrommelError, catalogueEntry, namedNormalizations, type CatalogueEntry } from "@trommel/common";

const autoaugment = {
  licence:
    "MIT (keras-applications), converted from the Apache-2.0 weights of github.com/tensorflow/tpu, models/official/efficientnet",
  normalization: namedNormalizations.torch,
  channelOrder: "rgb",
} as const;
const release = "https://github.com/Callidior/keras-applications/releases/download/efficientnet";

/** Public weights by name. A file is listed only if its sha256 is published somewhere. */
const builtIn: readonly unknown[] = [
  {
    ...autoaugment,
    name: "efficientnet-b2-autoaugment",
    url: `${release}/efficientnet-b2_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5`,
    sha256: "433b60584fafba1ea3de07443b74cfd32ce004a012020b07ef69e22ba8669333",
    architecture: "efficientnet-b2",
    inputSize: 260,
  },
  {
    ...autoaugment,
    name: "efficientnet-b3-autoaugment",
    url: `${release}/efficientnet-b3_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5`,
    sha256: "c5d42eb6cfae8567b418ad3845cfd63aa48b87f1bd5df8658a49375a9f3135c7",
    architecture: "efficientnet-b3",
    inputSize: 300,
  },
  {
    ...autoaugment,
    name: "efficientnet-b4-autoaugment",
    url: `${release}/efficientnet-b4_weights_tf_dim_ordering_tf_kernels_autoaugment_notop.h5`,
    sha256: "7942c1407ff1feb34113995864970cd4d9d91ea64877e8d9c38b6c1e0767c411",
    architecture: "efficientnet-b4",
    inputSize: 380,
  },
];

export const catalogue: readonly CatalogueEntry[] = builtIn.map((entry) => catalogueEntry.parse(entry));

/** @throws TrommelError `not-found`, with the known names */
export function findWeights(entries: readonly CatalogueEntry[], name: string): CatalogueEntry {
  const found = entries.find((entry) => entry.name === name);
  if (found !== undefined) return found;
  const hub = hubSpelling(name);
  throw new TrommelError(
    "not-found",
    `cannot find the weights "${name}": the catalogue has ${entries.map((entry) => entry.name).join(", ")}. ` +
      `Name one of these, give your own --catalogue, or import a file${hub === undefined ? "" : `. A hub's repository is named ${hub}`}`,
  );
}
