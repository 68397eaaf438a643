/** What to do where too many files of a run could not be read for anything to be trained. */
export function mendAdvice(runId: string): string {
  return `'trommel errors ${runId}' lists the files that failed; mend them, and 'trommel retry ${runId}' tries them again`;
}
