/**
 * `whole`: every block, row or pixel that the header announces is there. `truncated`: some are missing. `broken`: the
 * structure or the code of the data is not that of the format.
 */
export type PictureState = "whole" | "truncated" | "broken";

/** Thrown by what reads a file's structure as soon as the picture cannot be whole. */
export class PictureFault extends Error {
  readonly state: Exclude<PictureState, "whole">;

  constructor(state: Exclude<PictureState, "whole">, message: string) {
    super(message);
    this.state = state;
  }
}
