import { isIP } from "node:net";
import { TrommelError } from "@trommel/common";
import type { TrommelOptions } from "../api/options.js";

/** How `startDashboard` serves. */
export interface DashboardOptions extends TrommelOptions {
  /** Address and port, such as `127.0.0.1:8470` or `[::]:8470`; port 0 takes a free one. @default "127.0.0.1:8470" */
  readonly listen?: string | undefined;
  /** What a caller has to know for actions and, off loopback, for everything: at least 16 characters. @default no actions */
  readonly token?: string | undefined;
  /** The places that sources, manifests, models and outputs of requests lie under. @default the store alone */
  readonly roots?: readonly string[] | undefined;
  /** `host:port` that metrics are served at, for Prometheus. @default none */
  readonly metrics?: string | undefined;
  /** Serves tokens over plain HTTP off loopback, such as behind a proxy that speaks TLS. @default false */
  readonly insecureHttp?: boolean | undefined;
}

/** An address to listen on. */
interface ListenAddress {
  readonly host: string;
  readonly port: number;
  readonly isLoopback: boolean;
}

const defaultListen = "127.0.0.1:8470";
const tokenLeast = 16;

/** @throws TrommelError `invalid-argument` */
export function parseListen(text: string = defaultListen): ListenAddress {
  const [, bracketed, plain = "", digits = ""] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? (plain === "" ? "127.0.0.1" : plain);
  const port = Number(digits);
  const isAddress = host === "localhost" || isIP(host) === (bracketed === undefined ? 4 : 6);
  if (digits === "" || port > 65_535 || !isAddress)
    throw new TrommelError(
      "invalid-argument",
      `cannot listen on ${JSON.stringify(text)}: it is no address and port. Give one such as ${defaultListen}, 0.0.0.0:8470 or [::1]:8470`,
    );
  return { host, port, isLoopback: isLoopbackHost(host) };
}

/** Whether a host names this machine alone. */
export function isLoopbackHost(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** @throws TrommelError `invalid-argument` for a token that is too short, and for an address that none or plain HTTP is not enough for */
export function checkToken(address: ListenAddress, { token, insecureHttp = false }: DashboardOptions): void {
  if (token !== undefined && (token.length < tokenLeast || /\s/.test(token)))
    throw new TrommelError(
      "invalid-argument",
      `cannot use the token: it has ${token.length} characters, and at least ${tokenLeast} without blanks are needed. 'openssl rand -hex 32' draws one`,
    );
  if (address.isLoopback) return;
  const where = `cannot listen on ${address.host}:`;
  if (token === undefined)
    throw new TrommelError(
      "invalid-argument",
      `${where} others reach that address, and there is no token. Give --token-file or TROMMEL_TOKEN, or listen on 127.0.0.1`,
    );
  if (!insecureHttp)
    throw new TrommelError(
      "invalid-argument",
      `${where} tokens would cross the network in plain HTTP. Put a proxy that speaks TLS before it and give --insecure-http, or listen on 127.0.0.1`,
    );
}
