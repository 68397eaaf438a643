import { readdir, readFile } from "node:fs/promises";
import type { FastifyInstance } from "fastify";

/** A file of the page, in memory: they are few and small. */
export interface PageFile {
  /** Such as `/assets/main-1a2b.js`. */
  readonly path: string;
  readonly media: string;
  readonly body: Buffer;
}

const media: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** What `npm run build` has made of the page; nothing where it was not built. */
export async function readPage(): Promise<PageFile[]> {
  const folder = new URL("../dashboard/", import.meta.url);
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const files = names.map((name) => name.replaceAll("\\", "/")).filter((name) => /\.[a-z]+$/.test(name));
  return Promise.all(
    files.map(async (name) => ({
      path: `/${name}`,
      media: media[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream",
      body: await readFile(new URL(name, folder)),
    })),
  );
}

/** The page holds no data and needs no token; what it asks for does. */
export function addPage(server: FastifyInstance, files: readonly PageFile[]): void {
  const open = { config: { need: "open" } } as const;
  for (const { path, media: type, body } of files) {
    // The names of assets have a hash of their content.
    const cache = path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
    const urls = path === "/index.html" ? ["/", path] : [path];
    for (const url of urls)
      server.get(url, open, (_, reply) => reply.header("cache-control", cache).type(type).send(body));
  }
  if (files.length > 0) return;
  server.get("/", open, (_, reply) =>
    reply
      .type("text/plain; charset=utf-8")
      .send("The dashboard's page is not built: give 'npm run build'. The API is below /api/v1\n"),
  );
}
