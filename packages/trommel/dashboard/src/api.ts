/** Requests to the server that the page came from. What they answer is described by /api/v1/openapi.json. */

export interface Stage {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly perSecond: number | null;
  readonly secondsLeft: number | null;
  readonly failed: number;
  readonly reused: number;
  readonly note: string;
}

export interface Run {
  readonly id: string;
  readonly kind: "run" | "scoring" | "sorting";
  readonly phase: string;
  readonly stages: readonly Stage[];
  readonly images: number | null;
  readonly failedImages: number;
  readonly accuracy: number | null;
  readonly error: { readonly code: string; readonly message: string; readonly stage: string } | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

export interface Member {
  readonly kind: string;
  readonly name: string;
  readonly version: string;
  readonly startedMs: number;
  readonly residentBytes: number;
  readonly worker?: {
    readonly device: string;
    readonly provider: string;
    readonly underWay: readonly { readonly stage: string; readonly run: string }[];
    readonly images: number;
    readonly imagesPerSecond: number;
    readonly busyShare: number;
  };
}

export interface Cluster {
  readonly redis: "none" | "answers" | "lost";
  readonly queues: readonly {
    readonly queue: string;
    readonly workers: number | null;
    readonly waiting: number;
    readonly active: number;
  }[];
  readonly members: readonly Member[];
  readonly imagesPerSecond: number | null;
}

export interface Sample {
  readonly atMs: number;
  readonly imagesPerSecond: number;
}

/** A refusal, with the server's own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** @throws Refused with what the server says */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const response = await fetch(`/api/v1${path}`, { credentials: "same-origin", ...init });
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as { readonly detail?: string };
  throw new Refused(response.status, problem.detail ?? `the server answers ${response.status}`);
}

/** An action. A key of its own makes one that is sent twice happen once. */
export function act<T>(path: string, body: unknown = undefined, method = "POST"): Promise<T> {
  const isJson = body !== undefined && !(body instanceof Blob);
  return ask<T>(path, {
    method,
    headers: {
      "idempotency-key": crypto.randomUUID(),
      ...(isJson ? { "content-type": "application/json" } : {}),
      ...(body instanceof Blob ? { "content-type": "application/octet-stream" } : {}),
    },
    ...(body === undefined ? {} : { body: body instanceof Blob ? body : JSON.stringify(body) }),
  });
}

export function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A path below a run, with a query whose values may be any text. */
export function pathOf(id: string, what: string, query: Readonly<Record<string, string>> = {}): string {
  const text = new URLSearchParams(query).toString();
  return `/runs/${encodeURIComponent(id)}${what}${text === "" ? "" : `?${text}`}`;
}
