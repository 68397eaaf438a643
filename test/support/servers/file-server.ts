import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface FileServer {
  readonly url: string;
  /** What was asked for so far: the path and the range. */
  readonly asked: readonly { readonly path: string; readonly range: string | undefined }[];
  close(): Promise<void>;
}

/** An HTTP server on this machine; `answer` does as it likes with every request. */
export async function serveFiles(
  answer: (request: IncomingMessage, response: ServerResponse, count: number) => void,
): Promise<FileServer> {
  const asked: { path: string; range: string | undefined }[] = [];
  const server = createServer((request, response) => {
    asked.push({ path: request.url ?? "", range: request.headers.range });
    answer(request, response, asked.length);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Sends a part of a file under the length of the whole, and then cuts the connection. */
export function cutAfter(response: ServerResponse, whole: Uint8Array, sentBytes: number, status = 200): void {
  response.writeHead(status, { ...etagOf(whole), "content-length": whole.byteLength });
  response.write(whole.subarray(0, sentBytes), () => setTimeout(() => response.destroy(), 20));
}

/** The file, or the range of it that is asked for while the etag is still the same. */
export function sendRange(request: IncomingMessage, response: ServerResponse, whole: Uint8Array): void {
  const start = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
  const condition = request.headers["if-range"];
  const headers = etagOf(whole);
  if (start === undefined || (condition !== undefined && condition !== headers.etag)) {
    response.writeHead(200, { ...headers, "content-length": whole.byteLength }).end(whole);
  } else if (Number(start) >= whole.byteLength) {
    response.writeHead(416).end();
  } else {
    const range = `bytes ${start}-${whole.byteLength - 1}/${whole.byteLength}`;
    response.writeHead(206, { ...headers, "content-range": range }).end(whole.subarray(Number(start)));
  }
}

function etagOf(whole: Uint8Array): { etag: string } {
  return { etag: `"${whole.byteLength}-${whole[0] ?? 0}"` };
}
