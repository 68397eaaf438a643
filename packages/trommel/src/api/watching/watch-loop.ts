import { toTrommelError, type TrommelError } from "@trommel/common";

/** What a look at a source came to. */
export type Looked<Found> =
  | Found
  /** A tick came while the source was still being scored. It is passed over, and so are later ones until that is done. */
  | { readonly kind: "skipped" }
  /** The next tick tries again. */
  | { readonly kind: "failed"; readonly error: TrommelError };

/** What a loop of looks needs. */
export interface WatchLoop<Found> {
  /** Looks at the source once, and scores what is new. */
  readonly look: () => Promise<Found>;
  /** Resolves with the next tick; rejects once the signal aborts. */
  readonly nextTick: (signal: AbortSignal) => Promise<void>;
  /** Whether the next tick may succeed where this one failed. */
  readonly passes: (error: TrommelError) => Promise<boolean>;
  /** Ends the loop. */
  readonly signal: AbortSignal;
}

/**
 * Looks at once and then with every tick, never twice at a time, until the signal aborts.
 * @throws TrommelError what another look does not change
 */
export async function* watchLoop<Found>({
  look,
  nextTick,
  passes,
  signal,
}: WatchLoop<Found>): AsyncGenerator<Looked<Found>> {
  while (!signal.aborted) {
    const looking = look().then(
      (found) => ({ found }),
      (thrown: unknown) => ({ error: toTrommelError(thrown) }),
    );
    if ((await firstOf(looking, nextTick, signal)) === "tick") yield { kind: "skipped" };
    const looked = await looking;
    if ("error" in looked) {
      // A look that was given up ends with the loop.
      if (signal.aborted) return;
      if (!(await passes(looked.error))) throw looked.error;
      yield { kind: "failed", error: looked.error };
    } else {
      yield looked.found;
    }
    await nextTick(signal).catch((thrown: unknown) => {
      if (!signal.aborted) throw thrown;
    });
  }
}

/** Whether a tick comes before the look has ended. */
async function firstOf(
  looking: Promise<unknown>,
  nextTick: WatchLoop<never>["nextTick"],
  signal: AbortSignal,
): Promise<"look" | "tick"> {
  const done = new AbortController();
  const tick = nextTick(AbortSignal.any([signal, done.signal])).then(
    () => "tick" as const,
    () => "look" as const,
  );
  try {
    return await Promise.race([looking.then(() => "look" as const), tick]);
  } finally {
    done.abort();
  }
}
