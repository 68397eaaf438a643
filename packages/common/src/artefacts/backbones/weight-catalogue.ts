import { z } from "zod";
import {
  backboneName,
  normalization,
  normalizationName,
  normalizationNamed,
  sha256,
  channelOrders,
} from "./backbone-spec.js";

/**
 * A catalogue of public weights: what `trommel backbone pull` downloads by name. The built-in one and a file of one's
 * own (`--catalogue`, YAML or JSON) have the same form: a list of these.
 */

/** By name, or as the two triples themselves, in 0..255 units. */
const statedNormalization = z.union([normalizationName.transform(normalizationNamed), normalization]);

export const catalogueEntry = z
  .object({
    name: backboneName,
    /** https, or http on this machine. */
    url: z.url({ protocol: /^https?$/ }),
    /** sha256 of the whole file, in lower case. */
    sha256,
    licence: z.string().min(1),
    /** An architecture of the zoo. */
    architecture: z.string().min(1),
    /** Side of the square input in pixels. */
    inputSize: z.int().min(8).max(4096),
    normalization: statedNormalization,
    channelOrder: z.enum(channelOrders),
  })
  .strict();
export type CatalogueEntry = z.output<typeof catalogueEntry>;

export const weightCatalogue = z
  .array(catalogueEntry)
  .min(1)
  .max(10_000)
  .refine((entries) => new Set(entries.map(({ name }) => name)).size === entries.length, "names are unique");
