import { isOtherContent } from "@trommel/common/codec";

/**
 * Commits what another worker may have committed meanwhile. On other hardware its bytes may differ in rounding; the first
 * marker is kept, and this work is dropped. Any other conflict is thrown: then there may be no marker at all.
 */
export async function commitOnce(commit: () => Promise<unknown>): Promise<void> {
  try {
    await commit();
  } catch (thrown) {
    if (!isOtherContent(thrown)) throw thrown;
  }
}
