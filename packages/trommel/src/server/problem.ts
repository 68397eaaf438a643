import { toTrommelError, TrommelError, type ErrorCode } from "@trommel/common";
import type { FastifyError, FastifyRequest } from "fastify";
import { z } from "zod";

/** Errors as RFC 9457 words them, with our codes. */

/** The status of each code. */
const statusOf: Readonly<Record<ErrorCode, number>> = {
  "invalid-argument": 400,
  "not-found": 404,
  forbidden: 403,
  unavailable: 503,
  "timed-out": 504,
  conflict: 409,
  changed: 409,
  corrupt: 500,
  "too-large": 413,
  unsupported: 422,
  "device-unavailable": 501,
  "parity-failed": 500,
  "missing-input": 409,
  "bad-dataset": 422,
  "too-many-failures": 409,
  cancelled: 409,
  "store-full": 507,
  exhausted: 503,
  internal: 500,
};

const titles: Readonly<Record<number, string>> = {
  400: "Refused as it was asked",
  401: "The token is missing or wrong",
  403: "Not allowed",
  404: "Not found",
  409: "It conflicts with what is there",
  413: "Too large",
  415: "A media type that is not read",
  422: "Not usable",
  429: "Too many requests",
  500: "An error of the server",
  501: "Not installed here",
  503: "Not available now",
  504: "No answer in time",
  507: "No room left",
};

export const problem = z
  .strictObject({
    type: z.string().meta({ description: "`urn:trommel:error:` and the code" }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: "What failed, why, and what to do" }),
    code: z.string().meta({ description: "A code of docs/reference/error-codes.md" }),
    retryable: z.boolean().meta({ description: "Whether the same request may succeed later" }),
    instance: z.string().optional(),
    context: z.record(z.string(), z.unknown()).optional(),
  })
  .meta({ description: "RFC 9457" });
export type Problem = z.infer<typeof problem>;

/** An error that has a status of its own. */
export class StatusError extends TrommelError {
  constructor(
    readonly status: number,
    code: ErrorCode,
    message: string,
    options: { readonly retryable?: boolean } = {},
  ) {
    super(code, message, options);
  }
}

/**
 * @param instance the path of the request, without its query, which may hold what should not be repeated
 * @param route what the request was answered by
 */
export function problemOf(thrown: unknown, instance: string, route: AnsweringRoute): Problem {
  const error = fromFastify(thrown, route) ?? toTrommelError(thrown);
  const { code, message, retryable, context } = error;
  const status = error instanceof StatusError ? error.status : statusOf[code];
  // The words of an error that nobody foresaw may name what is inside the server.
  const detail =
    code === "internal" && !(thrown instanceof TrommelError)
      ? "cannot answer: an error of the server. Its log says which"
      : message;
  return {
    type: `urn:trommel:error:${code}`,
    title: titles[status] ?? "Error",
    ...{ status, detail, code, retryable, instance },
    ...(Object.keys(context).length === 0 ? {} : { context }),
  };
}

type AnsweringRoute = Pick<FastifyRequest["routeOptions"], "bodyLimit" | "config">;

/** What fastify refuses before a route sees it. */
function fromFastify(thrown: unknown, { bodyLimit, config }: AnsweringRoute): TrommelError | undefined {
  const { code, statusCode, message } = thrown as Partial<FastifyError>;
  if (code === undefined || !code.startsWith("FST_")) return undefined;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return new TrommelError(
      "too-large",
      `cannot read the body: it is larger than the ${bodyLimit} bytes that this route takes. Send less`,
    );
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE")
    return new StatusError(
      415,
      "unsupported",
      `cannot read the body: ${message}. Send ${config.takesBytes === true ? "the bytes as image/jpeg or application/octet-stream" : "application/json"}`,
    );
  if (statusCode === undefined || statusCode >= 500) return undefined;
  return new TrommelError("invalid-argument", `cannot read the request: ${message}. Send valid JSON`);
}
