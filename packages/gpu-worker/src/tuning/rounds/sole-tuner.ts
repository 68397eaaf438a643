import { TrommelError } from "@trommel/common";
import type { Tuner } from "../engine/tuner.js";

interface Opened<Part> {
  readonly ticket: number;
  readonly part: Part;
  readonly tuner: Tuner;
}

/**
 * The one network that a thread tunes. A job whose lock was lost may still be under way when its next try begins in the same
 * worker: the later one has the network, and what the earlier one asks for is refused, so that its steps never mix with the other's.
 * Requests take turns: none is under way while a network is let go.
 */
export class SoleTuner<Part> {
  #opened: Opened<Part> | undefined;
  #tickets = 0;
  #turn: Promise<unknown> = Promise.resolve();

  /** @returns the ticket that every further request needs */
  open(part: Part, create: () => Promise<Tuner>): Promise<number> {
    this.#tickets += 1;
    const ticket = this.#tickets;
    return this.#inTurn(async () => {
      await this.#release();
      if (ticket !== this.#tickets) throw taken();
      this.#opened = { ticket, part, tuner: await create() };
      return ticket;
    });
  }

  /** @throws TrommelError `unavailable`, retryable, if the network was let go or is another try's */
  use<Result>(ticket: number, work: (tuner: Tuner, part: Part) => Promise<Result>): Promise<Result> {
    return this.#inTurn(() => {
      const opened = this.#opened;
      if (opened?.ticket !== ticket || ticket !== this.#tickets) throw taken();
      return work(opened.tuner, opened.part);
    });
  }

  /** Lets go of that network, unless another try has its own by now. */
  close(ticket: number): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#opened?.ticket === ticket) await this.#release();
    });
  }

  async #release(): Promise<void> {
    const { tuner } = this.#opened ?? {};
    this.#opened = undefined;
    await tuner?.release();
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** Also where the thread has died meanwhile and another one has no network. */
function taken(): TrommelError {
  return new TrommelError(
    "unavailable",
    "cannot continue the tuning: its network was let go, or another try of the job has begun. Try again",
  );
}
