/** Names of a value's two forms in the graph. */
interface Forms {
  readonly plain?: string | undefined;
  readonly blocked?: string | undefined;
}

/**
 * A value of the network for the whole batch: [N, C, H, W] or [N, D]. Its name in ONNX's own order, in the runtime's blocked
 * layout [N, C / block, H, W, block], or in both; `Tape` converts when an operation asks for the other one.
 */
export class Value {
  readonly shape: readonly number[];
  /** Whether a weight that trains has a part in it. */
  readonly isTrained: boolean;
  /** Whether the blocked form came first: a form that is added later changes nothing of what follows. */
  readonly isBlocked: boolean;
  #forms: Forms;
  #again: (() => Value) | undefined;
  #isRecomputed = false;

  constructor(
    shape: readonly number[],
    isTrained: boolean,
    form: { readonly plain: string } | { readonly blocked: string },
  ) {
    this.shape = shape;
    this.isTrained = isTrained;
    this.#forms = form;
    this.isBlocked = "blocked" in form;
  }

  /** Nodes from here on read what `again` computes, once one of them asks for it. */
  letGo(again: () => Value): void {
    this.#forms = {};
    this.#again = again;
  }

  /** Whether its present forms are of a second computation. */
  get isRecomputed(): boolean {
    return this.#isRecomputed;
  }

  get plain(): string | undefined {
    return this.#known().plain;
  }

  get blocked(): string | undefined {
    return this.#known().blocked;
  }

  set plain(plain: string) {
    this.#forms = { ...this.#forms, plain };
  }

  set blocked(blocked: string) {
    this.#forms = { ...this.#forms, blocked };
  }

  /** Pixels of a channel; 1 for [N, D]. */
  get pixels(): number {
    return this.shape.slice(2).reduce((product, size) => product * size, 1);
  }

  get channels(): number {
    return this.shape[1] ?? 0;
  }

  get sizeBytes(): number {
    return 4 * this.shape.reduce((product, size) => product * size, 1);
  }

  /** The same values, whose training is known from elsewhere. */
  asTrained(isTrained: boolean): Value {
    if (this.isTrained === isTrained) return this;
    const { plain = "", blocked } = this.#known();
    return new Value(this.shape, isTrained, blocked === undefined ? { plain } : { blocked });
  }

  #known(): Forms {
    const again = this.#again;
    if (again !== undefined) {
      this.#again = undefined;
      this.#isRecomputed = true;
      this.#forms = again().#forms;
    }
    return this.#forms;
  }
}
