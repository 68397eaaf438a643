import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { sendRange, serveFiles } from "./file-server.js";

export interface HubContent {
  readonly id: string;
  readonly commit: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Files that the repository holds as pointers. */
  readonly pointers: readonly string[];
  readonly licence?: string;
  /** Without it, or with another one, the hub answers 401. */
  readonly token?: string;
  /** Sends these bytes in the place of a pointed file's. */
  readonly sends?: Uint8Array;
  /** A hub that lists no trees has pointers under `raw`. @default true */
  readonly trees?: boolean;
  /** The links to next pages name this origin, as those that a mirror passes on. */
  readonly linkOrigin?: string;
}

export interface HubServer {
  readonly endpoint: string;
  /** The authorisation of each request, by the server that got it. */
  readonly authorisations: { readonly hub: (string | undefined)[]; readonly storage: (string | undefined)[] };
  close(): Promise<void>;
}

const hash = (algorithm: string, ...parts: (string | Uint8Array)[]): string =>
  parts.reduce((sum, part) => sum.update(part), createHash(algorithm)).digest("hex");

/**
 * A hub with one repository, as huggingface.co answers: the model API with the commit, the tree API with Git's and LFS's hashes
 * in pages of two files, and `resolve`, which redirects to another server for pointed files.
 */
export async function serveHub(content: HubContent): Promise<HubServer> {
  const { id, commit, files, pointers, token, trees = true, linkOrigin = "" } = content;
  const authorisations: HubServer["authorisations"] = { hub: [], storage: [] };
  const storage = await serveFiles((request, response) => {
    authorisations.storage.push(request.headers.authorization);
    const path = decodeURIComponent((request.url ?? "").slice(1));
    sendRange(request, response, content.sends ?? files[path] ?? new Uint8Array());
  });
  const sha256 = (path: string): string => hash("sha256", files[path] ?? "");
  const entryOf = (path: string) => {
    const bytes = files[path] ?? new Uint8Array();
    const entry = { type: "file", path, size: bytes.byteLength };
    const oid = hash("sha1", `blob ${bytes.byteLength}\0`, bytes);
    return pointers.includes(path)
      ? { ...entry, oid, lfs: { oid: sha256(path), size: bytes.byteLength } }
      : { ...entry, oid };
  };
  const json = (response: ServerResponse, body: unknown, headers: Record<string, string> = {}): void => {
    response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    authorisations.hub.push(request.headers.authorization);
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401).end();
      return;
    }
    const url = new URL(request.url ?? "", "http://hub");
    const paths = Object.keys(files);
    const revision = new RegExp(`^/api/models/${id}/revision/(main|${commit})$`);
    if (revision.test(url.pathname)) {
      const card = content.licence === undefined ? {} : { license: content.licence };
      json(response, {
        id,
        sha: commit,
        cardData: card,
        siblings: paths.map((rfilename) => ({ rfilename })),
      });
      return;
    }
    if (trees && url.pathname === `/api/models/${id}/tree/${commit}`) {
      const start = Number(url.searchParams.get("cursor") ?? 0);
      url.searchParams.set("cursor", String(start + 2));
      const next =
        start + 2 < paths.length ? { link: `<${linkOrigin}${url.pathname}${url.search}>; rel="next"` } : {};
      json(
        response,
        [{ type: "directory", path: "onnx", oid: "0" }, ...paths.slice(start, start + 2).map(entryOf)],
        next,
      );
      return;
    }
    const [, how, path = ""] =
      new RegExp(`^/${id}/(resolve|raw)/${commit}/(.+)$`).exec(decodeURIComponent(url.pathname)) ?? [];
    const bytes = files[path];
    if (bytes === undefined) response.writeHead(404).end();
    else if (!pointers.includes(path)) response.writeHead(200).end(bytes);
    else if (how === "raw") {
      response
        .writeHead(200)
        .end(
          `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(path)}\nsize ${bytes.byteLength}\n`,
        );
    } else response.writeHead(302, { location: `${storage.url}/${encodeURIComponent(path)}` }).end();
  };
  const hub = await serveFiles(answer);
  return {
    endpoint: hub.url,
    authorisations,
    close: async () => {
      await hub.close();
      await storage.close();
    },
  };
}
