import { messageOf } from "./errors.js";

/** Everything that must be released joins a stack and leaves it in reverse order, whatever fails on the way. */
export class ReleaseStack {
  readonly #releasers: { readonly name: string; readonly release: () => void | Promise<void> }[] = [];

  add(name: string, release: () => void | Promise<void>): void {
    this.#releasers.push({ name, release });
  }

  /** Releases all, newest first. Failures are collected and returned, they never stop the rest. */
  async releaseAll(): Promise<string[]> {
    const failures: string[] = [];
    for (let top = this.#releasers.pop(); top !== undefined; top = this.#releasers.pop()) {
      try {
        await top.release();
      } catch (thrown) {
        failures.push(`${top.name}: ${messageOf(thrown)}`);
      }
    }
    return failures;
  }
}
