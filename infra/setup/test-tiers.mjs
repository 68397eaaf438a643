/**
 * The two tiers of tests. A test's folder decides: what lies below `test/full` belongs to the rest, everything else is
 * quick. `npm test` runs the quick tier, `npm run test:rest` the rest, `npm run test:full` both.
 */
export const tiers = ["quick", "rest"];

/** @param {string} file a path below test/, with forward slashes @returns the one tier of that test */
export function tierOf(file) {
  return file.startsWith("full/") ? "rest" : "quick";
}
