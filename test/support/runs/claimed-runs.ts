import { join } from "node:path";
import {
  openStore,
  recipe as recipeSchema,
  type ObjectStore,
  type RecipeInput,
  type RunConfig,
} from "@trommel/common";
import { resolveRun } from "#coordinator/resolve/run";
import { writeFiles } from "../images/dataset.js";
import { storeWithTinyBackbone, tinyBackbone } from "../models/tiny-backbone.js";

/** Runs that tune the tiny backbone and that nothing works on: what is claimed is in the store, and nothing else. */
export class ClaimedRuns {
  readonly store: ObjectStore;
  readonly #dataset: string;

  private constructor(store: ObjectStore, dataset: string) {
    this.store = store;
    this.#dataset = dataset;
  }

  /** @param keys of its files, each of which holds its key */
  static async create(folder: string, keys: readonly string[]): Promise<ClaimedRuns> {
    const dataset = join(folder, "pictures");
    await writeFiles(dataset, new Map(keys.map((key) => [key, key])));
    return new ClaimedRuns(openStore(await storeWithTinyBackbone(folder)), dataset);
  }

  async claim(id: string, fields: Partial<RecipeInput>): Promise<RunConfig> {
    const recipe = recipeSchema.parse({ backbones: [tinyBackbone.name], tune: {}, ...fields });
    const { store } = this;
    const resolved = await resolveRun({ store, id, dataset: this.#dataset, output: undefined, recipe });
    await resolved.claim();
    return resolved.config;
  }
}
