import { setFlagsFromString } from "node:v8";

/**
 * Decoded images are memory outside the heap, and V8 collects the whole heap as soon as it grew by about as much as is alive: every
 * fifty photographs, which took a tenth of the CPU time of scoring them. By then five times as much may have been allocated.
 */
export function collectSeldom(): void {
  setFlagsFromString("--heap-growing-percent=400");
}
