/** Values by their key, with a bound and a time; a value that is being made is shared. */
export class Cache<Value> {
  readonly #values = new Map<string, { readonly value: Promise<Value>; readonly atMs: number }>();

  constructor(
    private readonly options: {
      readonly atMost: number;
      readonly keptMs: number;
      readonly drop?: (value: Value) => Promise<void>;
    },
  ) {}

  get(key: string, make: () => Promise<Value>): Promise<Value> {
    const { atMost, keptMs } = this.options;
    const known = this.#values.get(key);
    const nowMs = performance.now();
    if (known !== undefined && nowMs - known.atMs < keptMs) return known.value;
    const value = make();
    this.#drop(key);
    this.#values.set(key, { value, atMs: nowMs });
    for (const [oldest] of this.#values) {
      if (this.#values.size <= atMost) break;
      this.#drop(oldest);
    }
    value.catch(() => {
      if (this.#values.get(key)?.value === value) this.#values.delete(key);
    });
    return value;
  }

  clear(): void {
    for (const key of [...this.#values.keys()]) this.#drop(key);
  }

  #drop(key: string): void {
    const known = this.#values.get(key);
    this.#values.delete(key);
    void known?.value.then(this.options.drop).catch(() => undefined);
  }
}
