/** A number of things in words: `1 image`, `24 images`. @param several the plural. @default with an s */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`;
}
