import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./redis-server.js";
import { signedHeaders, type KeyPair } from "./s3-signature.js";
import { waitUntil } from "../process/wait-until.js";

/**
 * Ceph's S3 server, as its Debian packages (radosgw, ceph-mon, ceph-osd) install it: a monitor and one storage daemon
 * that keeps everything in memory, no manager, on free ports of 127.0.0.1, with all its files in a temporary folder.
 */
export interface Radosgw {
  readonly endpoint: string;
  /** The variables that lead the AWS SDK here. */
  readonly env: Readonly<Record<string, string>>;
  createBucket(name: string): Promise<void>;
  stop(): Promise<void>;
}

const programs = ["ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"];
const keys: KeyPair = { accessKeyId: "trommel-test-key", secretAccessKey: "trommel-test-secret" };
const run = promisify(execFile);

/** What to install, or undefined where everything is there. */
export async function whyNoRadosgw(): Promise<string | undefined> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  for (const program of programs) {
    const found = await Promise.all(
      folders.map((folder) =>
        access(join(folder, program)).then(
          () => true,
          () => false,
        ),
      ),
    );
    if (!found.includes(true))
      return `${program} is not installed (Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd)`;
  }
  return undefined;
}

export async function startRadosgw(): Promise<Radosgw> {
  const folder = await mkdtemp(join(tmpdir(), "trommel-rgw-"));
  const started: ChildProcess[] = [];
  const stop = async (): Promise<void> => {
    for (const child of started.splice(0).reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const port = await startCluster(folder, started);
    const host = `127.0.0.1:${port}`;
    const endpoint = `http://${host}`;
    return {
      endpoint,
      env: {
        AWS_ENDPOINT_URL_S3: endpoint,
        AWS_REGION: "us-east-1",
        AWS_ACCESS_KEY_ID: keys.accessKeyId,
        AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
      },
      createBucket: async (name) => {
        const url = `/${name}`;
        const status = await statusOf(
          endpoint + url,
          "PUT",
          signedHeaders({ method: "PUT", host, url }, keys),
        );
        if (status !== 200) throw new Error(`radosgw answered ${status} when it was to create ${name}`);
      },
      stop,
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** @returns the port of the S3 server, which answers */
async function startCluster(folder: string, started: ChildProcess[]): Promise<number> {
  const [monitorPort, port] = [await freePort(), await freePort()];
  const config = join(folder, "ceph.conf");
  const [cluster, disk] = [randomUUID(), randomUUID()];
  await Promise.all(["mon", "osd", "run"].map((name) => mkdir(join(folder, name))));
  await writeFile(config, configuration(folder, cluster, monitorPort, port));
  const ceph = async (program: string, ...args: string[]): Promise<void> => {
    await run(program, ["-c", config, ...args], { timeout: 30_000 });
  };
  const start = (program: string, ...args: string[]): void => {
    const output = openSync(join(folder, `${program}.out`), "a");
    started.push(spawn(program, ["-f", "-c", config, ...args], { stdio: ["ignore", output, output] }));
    closeSync(output);
  };

  await makeKeys(join(folder, "keyring"));
  const map = join(folder, "monmap");
  const address = `[v2:127.0.0.1:${monitorPort}]`;
  await run("monmaptool", ["--create", "--fsid", cluster, "--addv", "a", address, map]);
  await ceph("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", join(folder, "keyring"));
  start("ceph-mon", "-i", "a");
  await ceph("ceph", "auth", "import", "-i", join(folder, "keyring"));
  await ceph("ceph", "osd", "new", disk);
  await ceph("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk);
  start("ceph-osd", "-i", "0");
  start("radosgw", "-n", "client.admin");
  const answers = async (): Promise<boolean> => {
    const dead = started.find(({ exitCode }) => exitCode !== null);
    if (dead !== undefined) throw new Error(await lastWords(folder, dead));
    return (await statusOf(`http://127.0.0.1:${port}/`, "GET").catch(() => 0)) === 200;
  };
  await waitUntil("radosgw answers", answers);
  const user = ["--uid=test", "--display-name=test"];
  const pair = [`--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`];
  await ceph("radosgw-admin", "user", "create", ...user, ...pair, "--max-buckets=0");
  return port;
}

/** radosgw takes part only with keys, also where the rest of the cluster asks for none. */
async function makeKeys(keyring: string): Promise<void> {
  const all = "allow *";
  const make = (create: string[], name: string, caps: Record<string, string>) =>
    run("ceph-authtool", [
      ...create,
      keyring,
      "--gen-key",
      "-n",
      name,
      ...Object.entries(caps).flatMap(([daemon, cap]) => ["--cap", daemon, cap]),
    ]);
  await make(["--create-keyring"], "mon.", { mon: all });
  await make([], "client.admin", { mon: all, osd: all, mgr: all });
  await make([], "osd.0", { mon: "allow profile osd", osd: all });
}

function configuration(folder: string, cluster: string, monitorPort: number, port: number): string {
  return `[global]
fsid = ${cluster}
mon host = v2:127.0.0.1:${monitorPort}
mon initial members = a
public addr = 127.0.0.1
keyring = ${folder}/keyring
mon data = ${folder}/mon
osd data = ${folder}/osd
run dir = ${folder}/run
admin socket = ${folder}/run/$name.$pid.asok
log file = ${folder}/$name.log
osd objectstore = memstore
memstore device bytes = 2G
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail crit = 1
mon data avail warn = 1
paxos propose interval = 0.02
paxos min wait = 0.01
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw enable gc threads = false
rgw enable lc threads = false
rgw enable quota threads = false
rgw run sync thread = false
`;
}

async function lastWords(folder: string, { spawnfile }: ChildProcess): Promise<string> {
  const output = await readFile(join(folder, `${spawnfile}.out`), "utf8").catch(() => "");
  return `${spawnfile} ended: ${output.slice(-2000)}`;
}

async function statusOf(url: string, method: string, headers: Record<string, string> = {}): Promise<number> {
  const asking = request(url, { method, headers, agent: false }).end();
  const [answer] = (await once(asking, "response")) as [IncomingMessage];
  answer.resume();
  return answer.statusCode ?? 0;
}
