import {
  Agent,
  createServer,
  request as openRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { SeededRandom } from "@trommel/common";
import { requestFaults, type RequestFault } from "./fault-schedule.js";

const delayMs = { least: 50, most: 1200 };
const stallMs = { least: 2000, most: 6000 };

/** A request that the server answered, whether or not the answer reached whom it was for. */
export interface PassedRequest {
  readonly method: string;
  /** Decoded, without the query: `/bucket/key`. */
  readonly path: string;
  readonly status: number;
}

/** From when on which share of the requests meets a fault. */
interface Weather {
  readonly share: number;
  readonly random: SeededRandom;
  readonly kinds: readonly RequestFault[];
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** An HTTP proxy in front of an S3 server that spoils requests when it is told to. Bodies are passed whole. */
export class FaultProxy {
  readonly #target: URL;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #server = createServer((request, response) => {
    this.#serve(request, response).catch(() => request.socket.destroy());
  });
  readonly #counts = new Map<RequestFault, number>();
  readonly #onPassed: (request: PassedRequest) => void;
  #weather: Weather | undefined;
  #requests = 0;

  private constructor(target: string, onPassed: (request: PassedRequest) => void) {
    this.#target = new URL(target);
    this.#onPassed = onPassed;
  }

  /** On a free port of 127.0.0.1. @param onPassed told of each request that the server has answered, in that order */
  static async start(
    target: string,
    onPassed: (request: PassedRequest) => void = () => undefined,
  ): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, onPassed);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests so far, spoilt ones among them. */
  get requests(): number {
    return this.#requests;
  }

  /** Requests that met each fault so far. */
  get spoilt(): ReadonlyMap<RequestFault, number> {
    return this.#counts;
  }

  /**
   * From now on this share of the requests meets a fault, drawn from the seed.
   * @returns what ends it, unless another call has taken its place meanwhile
   */
  spoil(share: number, seed: number, kinds: readonly RequestFault[] = requestFaults): () => void {
    const weather = { share, random: new SeededRandom(seed), kinds };
    this.#weather = weather;
    return () => {
      if (this.#weather === weather) this.#weather = undefined;
    };
  }

  async stop(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#requests += 1;
    const body = await bodyOf(request);
    const random = this.#weather?.random;
    const fault = this.#drawFault(request);
    if (fault !== undefined) this.#counts.set(fault, (this.#counts.get(fault) ?? 0) + 1);
    const reset = (): void => void request.socket.resetAndDestroy();
    switch (fault) {
      case "delay":
        await sleep(random?.uniform(delayMs.least, delayMs.most));
        break;
      case "refuse-500":
        return refuse(response, 500, "InternalError");
      case "refuse-503":
        return refuse(response, 503, "SlowDown");
      case "reset-before":
        return reset();
      case "stall":
        await sleep(random?.uniform(stallMs.least, stallMs.most));
        return reset();
      default:
    }
    const answer = await this.#pass(request, body);
    if (fault === "reset-after") return reset();
    if (fault === "forget-answer") return refuse(response, 500, "InternalError");
    // The words of an error are no object's body, and nothing vouches for them.
    const spoils = answer.status === 200 ? fault : undefined;
    const { bytes, whole } = spoilBody(spoils, answer.body, random);
    response.writeHead(answer.status, withoutHopHeaders(answer.headers));
    if (whole) response.end(bytes);
    else response.write(bytes, reset);
  }

  #drawFault({ method, url }: IncomingMessage): RequestFault | undefined {
    if (this.#weather === undefined) return undefined;
    const { share, random, kinds } = this.#weather;
    // Drawn for every request, so that the number of requests alone decides what the next one meets.
    const isSpoilt = random.unit() < share;
    const fault = kinds[random.integer(kinds.length)];
    const readsObject = method === "GET" && !(url ?? "").includes("list-type=");
    if (!isSpoilt || ((fault === "cut" || fault === "flip") && !readsObject)) return undefined;
    return fault;
  }

  async #pass(request: IncomingMessage, body: Buffer): Promise<Answer> {
    const { hostname, port } = this.#target;
    const { method = "GET", url = "/" } = request;
    // The host that was signed stays as it is.
    const headers = { ...withoutHopHeaders(request.headers), "content-length": String(body.length) };
    const passed = openRequest({ hostname, port, method, path: url, headers, agent: this.#agent });
    passed.end(body);
    const [answer] = (await once(passed, "response")) as [IncomingMessage];
    const whole = await bodyOf(answer);
    const status = answer.statusCode ?? 0;
    this.#onPassed({ method, path: decodeURIComponent(url.split("?", 1).join("")), status });
    return { status, headers: answer.headers, body: whole };
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}

/** `whole` is false where the connection must break after these bytes. */
function spoilBody(
  fault: RequestFault | undefined,
  body: Buffer,
  random: SeededRandom | undefined,
): { readonly bytes: Buffer; readonly whole: boolean } {
  if (random === undefined || body.length === 0) return { bytes: body, whole: true };
  if (fault === "cut") return { bytes: body.subarray(0, random.integer(body.length)), whole: false };
  if (fault !== "flip") return { bytes: body, whole: true };
  const bytes = Buffer.from(body);
  const place = random.integer(bytes.length);
  bytes[place] = (bytes[place] ?? 0) ^ (1 << random.integer(8));
  return { bytes, whole: true };
}

function withoutHopHeaders(headers: IncomingMessage["headers"]): IncomingMessage["headers"] {
  const { connection: _, "transfer-encoding": __, expect: ___, "keep-alive": ____, ...rest } = headers;
  return rest;
}
