import { Readable } from "node:stream";
import type { ObjectStore } from "@trommel/common";
import { headOf, readChunks } from "@trommel/common/store";
import type { FastifyReply } from "fastify";

/** A download holds about four of them: two are read, one waits, one is sent. */
const chunkBytes = 1 << 20;

/** What is streamed, and from where. */
interface Streamed {
  readonly store: ObjectStore;
  readonly key: string;
  readonly media: string;
  /** Aborts when the server closes. */
  readonly signal: AbortSignal;
  /** Called once nothing is read any more. */
  readonly close?: () => void;
}

/**
 * Sends an object in pieces, as fast as they are taken. One that vanishes or is replaced meanwhile ends the connection before the
 * stated length, so that no reader takes a part for the whole.
 * @throws TrommelError `not-found` before anything is sent
 */
export async function streamObject(reply: FastifyReply, streamed: Streamed): Promise<FastifyReply> {
  const { store, key, media, signal, close = () => undefined } = streamed;
  const info = await headOf(store, key).catch((thrown: unknown) => {
    close();
    throw thrown;
  });
  const chunks = readChunks(store, info, { chunkBytes, signal });
  const body = Readable.from(chunks, { objectMode: false, highWaterMark: chunkBytes });
  body.once("close", close);
  return reply.type(media).header("content-length", info.sizeBytes).send(body);
}
