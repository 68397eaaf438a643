/** Runs a walk through a file's structure to its end, as a caller that never pauses. */
export function walked<Result>(walk: Generator<void, Result>): {
  readonly result: Result;
  readonly pauses: number;
} {
  for (let pauses = 0; ; pauses += 1) {
    const { done, value } = walk.next();
    if (done === true) return { result: value, pauses };
  }
}
