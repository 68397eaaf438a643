/**
 * Loads one thing per index, at most `atOnce` under way, and yields them in the order of the indices. A failure is thrown
 * where its turn comes; a caller that stops reading waits for the reads in progress, so none continues in the background.
 */
export async function* readAhead<T>(
  indices: Iterable<number>,
  atOnce: number,
  load: (index: number) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  const rest = indices[Symbol.iterator]();
  const underWay: Promise<T>[] = [];
  const fill = (): void => {
    while (underWay.length < atOnce) {
      const next = rest.next();
      if (next.done === true) return;
      const loading = load(next.value);
      // Until its turn comes its failure is not unhandled.
      loading.catch(() => undefined);
      underWay.push(loading);
    }
  };
  try {
    for (fill(); underWay.length > 0; fill()) {
      const first = underWay.shift();
      if (first !== undefined) yield await first;
    }
  } finally {
    await Promise.allSettled(underWay);
  }
}

/**
 * Loads one thing for each item of a stream, at most `atOnce` under way, and yields them in the order of the items; as {@link readAhead}.
 */
export async function* mapAhead<Item, T>(
  items: AsyncIterable<Item>,
  atOnce: number,
  load: (item: Item) => Promise<T>,
): AsyncGenerator<T, void, undefined> {
  const underWay: Promise<T>[] = [];
  try {
    for await (const item of items) {
      const loading = load(item);
      loading.catch(() => undefined);
      underWay.push(loading);
      const first = underWay.length < atOnce ? undefined : underWay.shift();
      if (first !== undefined) yield await first;
    }
    for (let first = underWay.shift(); first !== undefined; first = underWay.shift()) yield await first;
  } finally {
    await Promise.allSettled(underWay);
  }
}

/** From `from` up to and without `end`, which may be infinite. */
export function* range(from: number, end = Infinity): Generator<number, void, undefined> {
  for (let index = from; index < end; index += 1) yield index;
}
