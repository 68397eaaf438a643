import { nameContainer } from "../containers/name-container.js";

/** What to do about a file with another hash than expected: often it is a web page or a pointer. */
export function arrived(bytes: Uint8Array): string {
  const found = nameContainer(bytes);
  return found === undefined
    ? "Check where the file comes from before trusting it"
    : `What arrived is ${found.what}. ${found.advice}`;
}
