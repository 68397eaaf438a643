/**
 * Images that must stay together: those with the same bytes, and the members of a group, however these chain.
 * A union-find over the images' tokens; a token is a text that images share, such as a file's hash.
 */
export class ImageGroups {
  readonly #parents: number[] = [];
  readonly #owners = new Map<string, number>();

  /** Adds the next image. @returns its number, from 0 */
  add(tokens: readonly string[]): number {
    const image = this.#parents.push(this.#parents.length) - 1;
    for (const token of tokens) {
      const owner = this.#owners.get(token);
      if (owner === undefined) this.#owners.set(token, image);
      else this.#join(owner, image);
    }
    return image;
  }

  /** The images by group, each group and all of them in order of the first image. */
  groups(): readonly (readonly number[])[] {
    const byRoot = new Map<number, number[]>();
    for (let image = 0; image < this.#parents.length; image += 1) {
      const root = this.#root(image);
      const group = byRoot.get(root);
      if (group === undefined) byRoot.set(root, [image]);
      else group.push(image);
    }
    return [...byRoot.values()];
  }

  /** The root of a group is its first image. */
  #join(a: number, b: number): void {
    const [rootA, rootB] = [this.#root(a), this.#root(b)];
    this.#parents[Math.max(rootA, rootB)] = Math.min(rootA, rootB);
  }

  #root(image: number): number {
    let at = image;
    while (this.#parents[at] !== at) {
      const above = this.#parents[at] as number;
      this.#parents[at] = this.#parents[above] as number;
      at = this.#parents[at] as number;
    }
    return at;
  }
}
