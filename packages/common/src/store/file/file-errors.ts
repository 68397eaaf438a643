import { messageOf, TrommelError, type ErrorCode } from "../../errors.js";

const codes: Readonly<Record<string, { code: ErrorCode; retryable?: boolean; advice: string }>> = {
  ENOENT: { code: "not-found", advice: "Check the path" },
  EACCES: { code: "forbidden", advice: "Give this user access to the file and its folders" },
  EPERM: { code: "forbidden", advice: "Give this user access to the file and its folders" },
  EROFS: {
    code: "forbidden",
    advice: "The file system is read-only: give another place, or mount it for writing",
  },
  ENOSPC: { code: "store-full", advice: "Free some space on this disk and give the command again" },
  EDQUOT: {
    code: "store-full",
    advice: "Free some space within this user's quota and give the command again",
  },
  EFBIG: { code: "exhausted", advice: "Raise the limit of a file's size (ulimit -f)" },
  EMFILE: { code: "exhausted", advice: "Raise the limit of open files (ulimit -n)" },
  ENFILE: { code: "exhausted", advice: "Raise the system's limit of open files" },
  ENAMETOOLONG: {
    code: "invalid-argument",
    advice: "Use shorter names: file systems take 255 bytes per segment",
  },
  EISDIR: { code: "conflict", advice: "A folder has this name: remove it or use another key" },
  ENOTEMPTY: { code: "conflict", advice: "A folder has this name: remove it or use another key" },
  ENOTDIR: {
    code: "conflict",
    advice: "A file has the name of one of its folders: remove it or use another key",
  },
  EEXIST: {
    code: "conflict",
    advice: "A file has the name of one of its folders: remove it or use another key",
  },
  ELOOP: { code: "invalid-argument", advice: "Its symbolic links form a circle: remove one" },
  EIO: { code: "unavailable", advice: "The disk or network share fails: check it" },
  ESTALE: { code: "unavailable", advice: "The network share disappeared: check it" },
  ETIMEDOUT: { code: "unavailable", advice: "The network share does not answer: check it" },
};

/** The system's code of a thrown error (`ENOENT`, …), if it has one. */
export function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/** Whether nothing is there: the file or one of its folders is missing, or a file is in the place of a folder. */
export function isAbsent(thrown: unknown): boolean {
  const code = systemCode(thrown);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** A file system's error as one of ours. `doing` reads "read /data/x". */
export function fileError(doing: string, thrown: unknown): TrommelError {
  if (thrown instanceof TrommelError) return thrown;
  const code = systemCode(thrown);
  const known = code === undefined ? undefined : codes[code];
  const reason = messageOf(thrown);
  if (known === undefined)
    return new TrommelError("internal", `cannot ${doing}: ${reason}`, { cause: thrown });
  return new TrommelError(known.code, `cannot ${doing}: ${reason}. ${known.advice}`, { cause: thrown });
}
