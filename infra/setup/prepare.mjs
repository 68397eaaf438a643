/**
 * What `npm run demo`, `npm test` and `npm run bench` do first: on a machine with Node.js and nothing else it installs
 * redis-server and the npm packages of the lockfile, and builds; if all of that exists it only runs the compiler.
 * It runs before anything is installed, so it imports nothing but Node.js. All its output goes to stderr.
 *
 * TROMMEL_REDIS_SERVER names a redis-server binary that is not on the PATH.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const leastNode = [20, 12];

/**
 * Package managers in the order in which they are tried, each with the commands to run; the first of its installs that
 * succeeds is enough. `brew` refuses to run as root and needs no rights, the others need root.
 */
const packageManagers = [
  {
    name: "apt-get",
    refresh: ["update", "-qq"],
    installs: [["install", "-y", "-qq", "--no-install-recommends", "redis-server"]],
  },
  {
    name: "dnf",
    installs: [
      ["install", "-y", "-q", "redis"],
      ["install", "-y", "-q", "valkey-compat-redis"],
    ],
  },
  { name: "yum", installs: [["install", "-y", "-q", "redis"]] },
  { name: "apk", installs: [["add", "--quiet", "redis"]] },
  { name: "pacman", installs: [["-Sy", "--noconfirm", "--quiet", "redis"]] },
  { name: "brew", installs: [["install", "--quiet", "redis"]], rootless: true },
];

/** These keep the packages from starting their service: Trommel starts servers of its own. */
const serviceStaysOff = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1", SYSTEMD_OFFLINE: "1" };

class SetupError extends Error {}

function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1])) return;
  throw new SetupError(
    `cannot set up: Node.js is ${process.versions.node}, and at least ${leastNode.join(".")} is needed. Install a newer Node.js`,
  );
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The full path of a program on the PATH, or undefined. */
function onPath(program) {
  const folders = (process.env.PATH ?? "").split(path.delimiter).filter((folder) => folder !== "");
  return folders.map((folder) => path.join(folder, program)).find(isExecutable);
}

function checkRedis() {
  const named = process.env.TROMMEL_REDIS_SERVER;
  if (named !== undefined && named !== "") {
    if (isExecutable(named)) return;
    throw new SetupError(
      `cannot find redis-server: TROMMEL_REDIS_SERVER is "${named}", which is not an executable file. Correct it or unset it`,
    );
  }
  if (onPath("redis-server") === undefined) installRedis();
}

function byHand(manager) {
  const command =
    manager === undefined ? "" : ` (${sudoWord(manager)}${[manager.name, ...manager.installs[0]].join(" ")})`;
  return `Install Redis 6.2 or later${command}, or set TROMMEL_REDIS_SERVER to the path of its redis-server, and run this again`;
}

function sudoWord(manager) {
  return manager.rootless ? "" : "sudo ";
}

/** What to put before a command so that it runs with the rights it needs; undefined if this user has none. */
function rightsFor(manager) {
  const isRoot = process.getuid?.() === 0;
  if (manager.rootless) return isRoot ? undefined : [];
  if (isRoot) return [];
  const asks =
    onPath("sudo") === undefined || spawnSync("sudo", ["-n", "true"], { stdio: "ignore" }).status !== 0;
  return asks
    ? undefined
    : ["sudo", "-n", "env", ...Object.entries(serviceStaysOff).map(([k, v]) => `${k}=${v}`)];
}

function installRedis() {
  const manager = packageManagers.find(({ name }) => onPath(name) !== undefined);
  const rights = manager === undefined ? undefined : rightsFor(manager);
  if (manager === undefined || rights === undefined) {
    const why =
      manager === undefined ? "no known package manager is here either" : `${manager.name} needs root`;
    throw new SetupError(`cannot find redis-server: it is not on the PATH, and ${why}. ${byHand(manager)}`);
  }
  say(`installing redis-server with ${manager.name}`);
  const run = (step) => runQuietly([...rights, manager.name, ...step]);
  // A list that cannot be refreshed may still contain the package, so only the installation decides.
  if (manager.refresh !== undefined) run(manager.refresh);
  const failures = [];
  for (const step of manager.installs) {
    const failure = run(step);
    if (failure === undefined && onPath("redis-server") !== undefined) return;
    failures.push(failure ?? `${manager.name} put no redis-server on the PATH`);
  }
  throw new SetupError(`cannot install redis-server: ${failures.join("; ")}. ${byHand(manager)}`);
}

/** Runs a command without showing it. @returns its last line of output if it fails, undefined if it succeeds */
function runQuietly([program, ...args]) {
  const ended = spawnSync(program, args, {
    env: { ...process.env, ...serviceStaysOff },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (ended.status === 0) return undefined;
  const lastLine = `${ended.stdout ?? ""}\n${ended.stderr ?? ""}`.trim().split("\n").at(-1);
  return `${program} ${args.join(" ")} ended with ${ended.error?.message ?? ended.status ?? ended.signal} (${lastLine})`;
}

/** Installed packages fit this lockfile and this build of Node.js only. */
function packagesFingerprint() {
  const lockfile = createHash("sha256")
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex");
  return JSON.stringify({
    lockfile,
    platform: process.platform,
    arch: process.arch,
    modules: process.versions.modules,
  });
}

function installPackages() {
  const stampFile = path.join(root, "node_modules/.trommel-prepared.json");
  const wanted = packagesFingerprint();
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === wanted) return;
  say("installing the npm packages of package-lock.json");
  const npm = process.env.npm_execpath?.endsWith(".js")
    ? [process.execPath, process.env.npm_execpath]
    : ["npm"];
  runOrThrow([...npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], "install the npm packages");
  writeFileSync(stampFile, wanted);
}

/** Incremental: with nothing changed the compiler only compares times. */
function build() {
  runOrThrow([process.execPath, path.join(root, "node_modules/typescript/bin/tsc"), "--build"], "build");
  runOrThrow([process.execPath, path.join(root, "infra/setup/build-page.mjs")], "build the dashboard's page");
}

function runOrThrow([program, ...args], what) {
  // Before npm 11, onnxruntime-node's install script would download CUDA files.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" };
  const ended = spawnSync(program, args, { cwd: root, env, stdio: ["ignore", 2, 2] });
  if (ended.status === 0) return;
  const how = ended.error?.message ?? `it ended with ${ended.status ?? ended.signal}`;
  throw new SetupError(`cannot ${what}: ${how}. The lines above say why`);
}

try {
  checkNode();
  checkRedis();
  installPackages();
  build();
} catch (thrown) {
  if (!(thrown instanceof SetupError)) throw thrown;
  say(thrown.message);
  process.exitCode = 1;
}
