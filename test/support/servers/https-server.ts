import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether a certificate can be made. */
export const hasOpenssl = await run("openssl", ["version"]).then(
  () => true,
  () => false,
);

export interface HttpsServer {
  /** `https://localhost:<port>` */
  readonly origin: string;
  /** Of its own authority, as text and as a file. */
  readonly ca: string;
  readonly caFile: string;
  readonly server: Server;
  readonly stop: () => void;
}

/** A server on this machine with a certificate of its own. @param folder for its key and certificate */
export async function startHttpsServer(folder: string, answer: RequestListener): Promise<HttpsServer> {
  const [keyFile, caFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  await run("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", keyFile, "-out", caFile],
  ]);
  const ca = await readFile(caFile, "utf8");
  const server = createServer({ key: await readFile(keyFile), cert: ca }, answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    ...{ ca, caFile, server },
    origin: `https://localhost:${(server.address() as AddressInfo).port}`,
    stop: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
