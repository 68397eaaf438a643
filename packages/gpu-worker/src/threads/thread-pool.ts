/** Something that is started by its first use and stopped. */
interface Stoppable {
  stop(): Promise<void>;
}

/** As many threads as may be at work at once, each made when all before it are busy. */
export class ThreadPool<T extends Stoppable> {
  readonly #most: number;
  readonly #create: () => T;
  readonly #idle: T[] = [];
  readonly #all: T[] = [];
  readonly #waiting: ((thread: T) => void)[] = [];

  constructor(most: number, create: () => T) {
    this.#most = most;
    this.#create = create;
  }

  /** Gives `work` a thread that nobody else has until it ends. */
  async use<Result>(work: (thread: T) => Promise<Result>): Promise<Result> {
    const thread = await this.#take();
    try {
      return await work(thread);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(thread);
      else next(thread);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((thread) => thread.stop()));
  }

  #take(): T | Promise<T> {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#all.length === this.#most) return new Promise((resolve) => this.#waiting.push(resolve));
    const made = this.#create();
    this.#all.push(made);
    return made;
  }
}
