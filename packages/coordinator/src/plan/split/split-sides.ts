import type { ObjectStore, RunConfig } from "@trommel/common";
import type { Division } from "@trommel/common/artefacts";
import { sides, type Side } from "./ranked-images.js";
import { SplitMemory, type RememberedKeys } from "./split-memory.js";
import type { SplitMemories } from "./write-split.js";

/** What is known of a run's split before it is chosen: the sides that earlier runs or a list give. */
export class SplitSides {
  readonly memories: SplitMemories;
  readonly #listed: Division["listed"];
  readonly #validated: RememberedKeys;
  readonly #tested: RememberedKeys;

  private constructor(
    memories: SplitMemories,
    { listed }: Division,
    remembered: { readonly validated: RememberedKeys; readonly tested: RememberedKeys },
  ) {
    this.memories = memories;
    this.#listed = listed;
    this.#validated = remembered.validated;
    this.#tested = remembered.tested;
  }

  static async read(store: ObjectStore, config: RunConfig, division: Division): Promise<SplitSides> {
    const memories = {
      validation: new SplitMemory(store, config),
      test: new SplitMemory(store, config, "test"),
    };
    const anyOrder = config.from !== undefined;
    const [validated, tested] = [
      await memories.validation.read(anyOrder),
      await memories.test.read(anyOrder),
    ];
    return new SplitSides(memories, division, { validated, tested });
  }

  /**
   * Keys must be asked for in ascending order, unless the run's source has an order of its own. A list of the test part decides over earlier runs, and a remembered test image is
   * never validated on.
   */
  async sideOf(key: string): Promise<Side> {
    const wasTested = await this.#tested.has(key);
    const wasValidated = await this.#validated.has(key);
    if (this.#listed === undefined ? wasTested : this.#listed.has(key)) return sides.test;
    return wasValidated ? sides.validation : sides.open;
  }
}
