/**
 * Bytes at the end of a picture that make a process with the preload `crash-on-picture` do something when it decodes it:
 * what libvips or the kernel does to a process in earnest.
 */
export const crashMarks = {
  /** Dies as by a wild pointer. */
  abort: "decode-and-abort",
  /** Dies as by the kernel's OOM killer. */
  kill: "decode-and-be-killed",
  /** Takes the worker along, as where a whole container is killed. */
  killAll: "decode-and-all-are-killed",
  /** Never comes to an end, while the process goes on. */
  hang: "decode-and-hang",
  /** Never comes to an end, and nothing else in the process moves. */
  freeze: "decode-and-freeze",
} as const;

/** For the environment of a command whose workers are to have the preload. */
export const crashPreload: Readonly<Record<string, string>> = {
  NODE_OPTIONS: `--import=${new URL("./crash-on-picture.js", import.meta.url).href}`,
};

/** A picture that still decodes to the same pixels, with the mark at its end. */
export function marked(picture: Uint8Array, mark: keyof typeof crashMarks): Buffer {
  return Buffer.concat([picture, Buffer.from(crashMarks[mark], "latin1")]);
}
