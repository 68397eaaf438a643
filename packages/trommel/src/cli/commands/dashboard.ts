import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { startDashboard, TrommelError } from "../../index.js";
import type { DashboardOptions, DashboardServer } from "../../index.js";
import { trommelOptions, type GlobalFlags } from "../handle.js";
import type { Terminal } from "../terminal.js";

/** Flags of the dashboard. */
export interface DashboardFlags {
  readonly listen?: string;
  readonly tokenFile?: string;
  readonly root?: readonly string[];
  readonly insecureHttp?: true;
  readonly metrics?: string;
}

/** `trommel dashboard` */
export async function dashboard(terminal: Terminal, flags: GlobalFlags & DashboardFlags): Promise<void> {
  const signal = terminal.interrupts();
  const server = await serve(terminal, { ...(await dashboardOptions(terminal, flags)), signal });
  if (server === undefined) return;
  try {
    terminal.result({ url: server.url, store: server.store, redis: server.redis, acts: server.acts });
    await new Promise<void>((stop) => {
      if (signal.aborted) stop();
      signal.addEventListener("abort", () => stop(), { once: true });
    });
  } finally {
    await server.close();
  }
}

/** Starts it, and says where it is. */
export async function serve(
  terminal: Terminal,
  options: DashboardOptions,
): Promise<DashboardServer | undefined> {
  const server = await startDashboard(options);
  if (server === undefined) return undefined;
  const { url, store, redis = "none", acts, roots, metrics } = server;
  terminal.say(`dashboard: ${url}; redis ${redis}, store ${store}`);
  terminal.say(
    acts
      ? `actions need the token; places of requests lie under ${roots.join(", ")}`
      : "it only reads: --token-file or TROMMEL_TOKEN allows actions",
  );
  if (metrics !== undefined) terminal.say(`metrics at ${metrics}`);
  return server;
}

/** @throws TrommelError `invalid-argument` for a token file that cannot be read */
export async function dashboardOptions(
  terminal: Terminal,
  flags: GlobalFlags & DashboardFlags,
): Promise<DashboardOptions> {
  const { listen, tokenFile, root, insecureHttp, metrics } = flags;
  const { env, cwd } = terminal.io;
  const fromEnvironment = env["TROMMEL_TOKEN"] === "" ? undefined : env["TROMMEL_TOKEN"];
  const token = tokenFile === undefined ? fromEnvironment : await readToken(resolve(cwd, tokenFile));
  const { store, redis, folder, log, onNotice, workerOutput } = trommelOptions(terminal, flags);
  const handle = { store, redis, folder, env, log, onNotice, workerOutput };
  return { ...handle, listen, token, roots: root, insecureHttp, metrics };
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : (code ?? String(cause));
    throw new TrommelError(
      "invalid-argument",
      `cannot read the token from ${file}: ${why}. Write a token into that file, or give another --token-file`,
      { cause },
    );
  }
}
