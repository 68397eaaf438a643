import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface S3Process {
  readonly pid: number;
  /** The variables that lead the AWS SDK to it. */
  readonly env: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

/** An S3 server in a process of its own, so that its work and its death are not the harness's. */
export async function startS3Process(buckets: readonly string[]): Promise<S3Process> {
  const child = fork(fileURLToPath(new URL("s3-process.js", import.meta.url)), [...buckets]);
  const exited = once(child, "exit");
  const [told] = (await Promise.race([
    once(child, "message"),
    exited.then(([code]) => Promise.reject(new Error(`the S3 server ended with ${String(code)}`))),
  ])) as [{ env: Record<string, string> }];
  return {
    pid: child.pid ?? 0,
    env: told.env,
    stop: async () => {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
