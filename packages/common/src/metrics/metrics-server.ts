import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { messageOf, TrommelError } from "../errors.js";
import { withTimeout } from "../waiting/with-timeout.js";
import type { ClusterMetrics } from "./cluster-metrics.js";

/** What looking up gauges may take: a scrape that waits for a lost Redis would miss every other metric. */
const lookMs = 2000;

export interface MetricsServer {
  /** `http://host:port/metrics` */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Answers `GET /metrics` for Prometheus, and `GET /healthz` for probes of the process itself.
 * @param address `host:port`; port 0 is one that is free
 * @param look sets the gauges before each answer; what it throws, or waits for too long, leaves them as they are
 * @throws TrommelError `invalid-argument` for the address, or one that is taken
 */
export async function serveMetrics(
  address: string,
  metrics: ClusterMetrics,
  look: () => Promise<void> = () => Promise.resolve(),
): Promise<MetricsServer> {
  const { host, port } = parseAddress(address);
  const server = createServer((request, response) => {
    const path = (request.url ?? "").split("?")[0];
    if (request.method !== "GET" || (path !== "/metrics" && path !== "/healthz")) {
      response.writeHead(404).end();
      return;
    }
    if (path === "/healthz") {
      response.writeHead(200, { "content-type": "text/plain" }).end("ok\n");
      return;
    }
    void answer().then(
      (text) => response.writeHead(200, { "content-type": metrics.registry.contentType }).end(text),
      (thrown: unknown) => response.writeHead(500).end(`${messageOf(thrown)}\n`),
    );
  });
  const answer = async (): Promise<string> => {
    await withTimeout({ timeoutMs: lookMs, doing: "look up gauges" }, look()).catch(() => undefined);
    return metrics.registry.metrics();
  };
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (cause) {
    throw new TrommelError(
      "invalid-argument",
      `cannot serve metrics at ${address}: ${messageOf(cause)}. Give another --metrics host:port`,
      { cause },
    );
  }
  // A scraper does not keep a process that has to end.
  server.unref();
  const found = server.address() as AddressInfo;
  return {
    url: `http://${found.family === "IPv6" ? `[${found.address}]` : found.address}:${found.port}/metrics`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** @throws TrommelError `invalid-argument` */
function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const [, v6, host = v6, port = ""] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/i.exec(address) ?? [];
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new TrommelError(
    "invalid-argument",
    `cannot serve metrics at '${address}': it is not host:port. Give one such as 127.0.0.1:9464 or [::]:9464`,
  );
}
