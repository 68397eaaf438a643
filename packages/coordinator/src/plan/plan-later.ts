/** Thrown by a plan that waits for something: its job is delayed and tried again, which counts as no try. */
export class PlanLater extends Error {
  override readonly name = "PlanLater";
  readonly delayMs: number;

  constructor(delayMs: number) {
    super(`the plan is tried again in ${delayMs} ms`);
    this.delayMs = delayMs;
  }
}
