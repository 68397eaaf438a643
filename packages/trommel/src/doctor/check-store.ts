import { randomUUID } from "node:crypto";
import { backboneId, listBackbones, openStore, readBackboneModel, type ObjectStore } from "@trommel/common";
import { bounded, failed, ok, skipped, warning, type Finding, type Limits } from "./finding.js";

/** The folder of what a check writes; it is removed at the check's end. */
const folder = "doctor";
const clockSkewAtMostSeconds = 60;
/** A network is some hundred MiB. */
const backboneTimeoutFactor = 6;

const afterWrite = ["store-read", "store-listing", "store-conditional-write", "store-clock"] as const;

/** Writes, reads and lists a few objects of its own, and reads every backbone. */
export async function checkStore(url: string, limits: Limits): Promise<Finding[]> {
  const { timeoutMs } = limits;
  // A server that is silent is asked twice within the time of a check.
  const s3 = { maxAttempts: 2, idleTimeoutMs: Math.ceil(timeoutMs / 3), retryWindowMs: timeoutMs };
  const store = openStore(url, { s3 });
  // Not a folder of its own each time: in a store on disk that would stay behind, empty.
  const prefix = `${folder}/${randomUUID()}-`;
  const keys = ["a", "b", "c"].map((name) => `${prefix}${name}`);
  try {
    const findings = await checkObjects(store, prefix, keys, limits);
    const backbones = await checkBackbones(store, { timeoutMs: backboneTimeoutFactor * timeoutMs });
    return [...findings, backbones];
  } finally {
    store.close();
  }
}

async function checkObjects(
  store: ObjectStore,
  prefix: string,
  keys: readonly string[],
  limits: Limits,
): Promise<Finding[]> {
  const [first = ""] = keys;
  const body = Buffer.from("trommel doctor\n");
  const written = await bounded("store-write", limits, async () => {
    for (const key of keys) await store.put(key, body);
    return ok("store-write", `${store.url} takes objects`);
  });
  if (written.status !== "ok")
    return [written, ...afterWrite.map((check) => skipped(check, "see store-write"))];
  const read = await bounded("store-read", limits, async () => {
    const found = await store.get(first);
    return Buffer.compare(found, body) === 0
      ? ok("store-read", "gives back the bytes that were written")
      : failed("store-read", "gives back other bytes than were written", "Look at what lies between");
  });
  const listed = await bounded("store-listing", limits, async () => {
    const found: string[] = [];
    for await (const { key } of store.list(prefix)) found.push(key);
    return found.join() === keys.join()
      ? ok("store-listing", "lists what was written at once and in order")
      : failed(
          "store-listing",
          `lists ${found.length} of ${keys.length} objects that were written just now`,
          "Use a store whose listings are consistent",
        );
  });
  const conditional = await bounded("store-conditional-write", limits, async () => {
    if ((await store.refusesOverwrite?.(first, body)) !== false)
      return ok("store-conditional-write", "refuses to overwrite where it is asked to");
    return warning(
      "store-conditional-write",
      "the server has no conditional writes: Trommel looks before it writes, and of two writers at the same moment the later one wins",
      "Their bytes are the same, so it works; use a server that knows If-None-Match to be sure",
    );
  });
  const clock = await bounded("store-clock", limits, async () => {
    const before = Date.now() / 1000;
    const modified = (await store.head(first))?.modifiedSeconds;
    return clockFinding(before, modified);
  });
  const removed = await bounded("store-write", limits, async () => {
    await store.delete(keys);
    return written;
  });
  return [removed, read, listed, conditional, clock];
}

/** @param nowSeconds by this machine's clock. @param writtenSeconds when it wrote just before, by the store's */
export function clockFinding(nowSeconds: number, writtenSeconds: number | undefined): Finding {
  if (writtenSeconds === undefined)
    return skipped("store-clock", "the store does not say when it was written");
  const skew = Math.round(writtenSeconds - nowSeconds);
  const found = `the store's clock and this one differ by ${Math.abs(skew)} s`;
  if (Math.abs(skew) <= clockSkewAtMostSeconds) return ok("store-clock", found);
  return warning(
    "store-clock",
    `${found}: it is ${skew > 0 ? "ahead" : "behind"}`,
    "Synchronise both by NTP: S3 refuses requests 15 minutes off, and ages in 'store gc' are by the store's clock",
  );
}

function checkBackbones(store: ObjectStore, limits: Limits): Promise<Finding> {
  return bounded("backbones", limits, async () => {
    const damaged: string[] = [];
    const specs = await listBackbones(store, (id, { message }) => damaged.push(`${id}: ${message}`));
    for (const spec of specs) {
      await readBackboneModel(store, spec).catch((thrown: unknown) => {
        damaged.push(`${backboneId(spec)}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
      });
    }
    const total = specs.length + damaged.length;
    if (damaged.length > 0)
      return failed(
        "backbones",
        damaged.join("; "),
        "Import or pull it again, which repairs it, or remove it with 'trommel backbone remove'",
      );
    if (total === 0) return ok("backbones", "the store has none yet");
    return ok("backbones", `${specs.map(backboneId).join(", ")}: every model has the sha256 of its spec`);
  });
}
