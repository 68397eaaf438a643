import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A layers model as files: `model.json` and what it names. */
export interface ModelFiles {
  readonly modelJson: Uint8Array;
  readonly readFile: (relativePath: string) => Promise<Uint8Array>;
  /** Names of the weight files. */
  readonly paths: readonly string[];
}

const modelsFolder = join(
  fileURLToPath(new URL("../../../..", import.meta.url)),
  "node_modules/nsfwjs/dist/models",
);

/**
 * A model that the npm package nsfwjs ships (MIT): Keras layers, weights quantised to uint8, packed into JavaScript modules
 * as base64.
 */
export function nsfwjsModel(name: "mobilenet_v2" | "inception_v3"): ModelFiles {
  const require = createRequire(import.meta.url);
  const load = (file: string): unknown => require(join(modelsFolder, name, `${file}.min.js`)) as unknown;
  const model = unwrap(load("model")) as { weightsManifest: { paths: string[] }[] };
  const paths = model.weightsManifest.flatMap((group) => group.paths);
  return {
    modelJson: Buffer.from(JSON.stringify(model), "utf8"),
    paths,
    readFile: (path) => {
      if (!paths.includes(path)) return Promise.reject(new Error(`nsfwjs's ${name} has no file ${path}`));
      return Promise.resolve(Buffer.from(unwrap(load(path)) as string, "base64"));
    },
  };
}

function unwrap(module: unknown): unknown {
  return typeof module === "object" && module !== null && "default" in module ? module.default : module;
}
