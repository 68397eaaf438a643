/** Thrown by what reads a file's structure as soon as its picture cannot be whole. */
export class PictureFault extends Error {
  /**
   * `truncated`: blocks, rows or pixels that the header announces are missing. `broken`: the structure or the codes are not those
   * of the format.
   */
  readonly state: "truncated" | "broken";

  constructor(state: "truncated" | "broken", message: string) {
    super(message);
    this.state = state;
  }
}
