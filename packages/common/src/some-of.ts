/** The first few texts of a list, and the number of the others. */
export function someOf(texts: readonly string[], most = 5): string {
  const shown = texts.slice(0, most).join(", ");
  return texts.length > most ? `${shown}, … and ${texts.length - most} more` : shown;
}
