import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * An HTTP proxy before an S3 server, on a free port of 127.0.0.1, that does to single requests what networks and
 * overloaded servers do. The test's rule decides for each request; without a fault it passes through unchanged.
 */
export type Fault =
  /** An S3 error instead of the server's answer; the request does not reach the server. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly code: string;
      readonly headers?: Headers;
      /** More XML elements. */ readonly more?: string;
    }
  /** Another body with status 200; the request does not reach the server. */
  | { readonly kind: "body"; readonly body: string; readonly headers?: Headers }
  /** The connection is reset; the request does not reach the server. */
  | { readonly kind: "reset" }
  /** The server does its work, and the connection is reset before it answers. */
  | { readonly kind: "answer-lost" }
  /** Nothing is ever answered. */
  | { readonly kind: "silent" }
  /** The true head and so many bytes of the body; then silence, or the connection's end. */
  | { readonly kind: "stall" | "cut"; readonly bytes: number }
  /** So many bytes of the body, with a head that states no more: whole as far as HTTP can tell. */
  | { readonly kind: "shorten"; readonly bytes: number }
  /** One bit of the answer's body (`down`) or of the request's (`up`) is flipped. */
  | { readonly kind: "corrupt"; readonly way: "up" | "down"; readonly at?: number }
  /** Nothing but the removal of answer headers whose name matches. */
  | { readonly kind: "strip"; readonly headers: RegExp };

type Headers = Readonly<Record<string, string>>;

export interface ProxiedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Counted from 1 over the life of the proxy. */
  readonly number: number;
}

export interface FaultyS3 {
  readonly endpoint: string;
  readonly requests: readonly ProxiedRequest[];
  /** Removed from every answer: as a server without checksums does. */
  stripAlways: RegExp | undefined;
  rule: (request: ProxiedRequest) => Fault | undefined;
  stop(): Promise<void>;
}

export async function startFaultyS3(upstream: string): Promise<FaultyS3> {
  const requests: ProxiedRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => incoming.socket.destroy());
  });

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = incoming;
    const request = { method, url, headers, number: requests.length + 1 };
    requests.push(request);
    const fault = faulty.rule(request);
    const body = await collect(incoming);
    if (fault !== undefined && actsAlone(fault, incoming, outgoing)) return;
    const sent = fault?.kind === "corrupt" && fault.way === "up" ? flipped(body, fault.at) : body;
    const answer = await forward(upstream, incoming, sent);
    if (faulty.stripAlways !== undefined) strip(answer.headers, faulty.stripAlways);
    respond(fault, answer, outgoing);
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const faulty: FaultyS3 = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stripAlways: undefined,
    rule: () => undefined,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return faulty;
}

/** True where the server is not asked at all. */
function actsAlone(fault: Fault, incoming: IncomingMessage, outgoing: ServerResponse): boolean {
  switch (fault.kind) {
    case "answer":
      outgoing.writeHead(fault.status, { "content-type": "application/xml", ...fault.headers });
      outgoing.end(
        `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>as told</Message>${fault.more ?? ""}</Error>`,
      );
      return true;
    case "body":
      outgoing.writeHead(200, { "content-type": "application/xml", ...fault.headers }).end(fault.body);
      return true;
    case "reset":
      incoming.socket.resetAndDestroy();
      return true;
    case "silent":
      return true;
    default:
      return false;
  }
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

function respond(fault: Fault | undefined, answer: Answer, outgoing: ServerResponse): void {
  const { status, headers, body } = answer;
  switch (fault?.kind) {
    case "answer-lost":
      outgoing.socket?.resetAndDestroy();
      return;
    case "stall":
    case "cut":
      outgoing.writeHead(status, headers);
      outgoing.write(body.subarray(0, fault.bytes), () => {
        if (fault.kind === "cut") outgoing.socket?.destroy();
      });
      return;
    case "shorten":
      outgoing.writeHead(status, {
        ...headers,
        "content-length": String(Math.min(fault.bytes, body.length)),
      });
      outgoing.end(body.subarray(0, fault.bytes));
      return;
    case "strip":
      strip(headers, fault.headers);
      break;
    default:
  }
  outgoing.writeHead(status, headers);
  outgoing.end(fault?.kind === "corrupt" && fault.way === "down" ? flipped(body, fault.at) : body);
}

function strip(headers: IncomingMessage["headers"], names: RegExp): void {
  for (const name of Object.keys(headers)) if (names.test(name)) delete headers[name];
}

function flipped(body: Buffer, at = body.length >> 1): Buffer {
  const copy = Buffer.from(body);
  if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ 0x10;
  return copy;
}

async function forward(upstream: string, incoming: IncomingMessage, body: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method, url = "", headers } = incoming;
    const { hostname, port } = new URL(upstream);
    // The path goes on letter by letter: it is signed.
    const onward = httpRequest({ hostname, port, path: url, method, headers, agent: false }, (answer) => {
      collect(answer).then((bytes) => {
        const { "transfer-encoding": _encoding, connection: _connection, ...kept } = answer.headers;
        const length = method === "HEAD" ? {} : { "content-length": String(bytes.length) };
        resolve({ status: answer.statusCode ?? 502, headers: { ...kept, ...length }, body: bytes });
      }, reject);
    });
    onward.once("error", reject);
    onward.end(body);
  });
}

async function collect(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
