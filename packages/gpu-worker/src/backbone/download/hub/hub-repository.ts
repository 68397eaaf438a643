import { createHash } from "node:crypto";
import { z } from "zod";
import { TrommelError, parseAs, sha256Hex } from "@trommel/common";
import type { HubReference } from "@trommel/common/artefacts";
import { refuseContainer } from "../../containers/name-container.js";
import { jsonText } from "../../layers/json-text.js";
import type { HubClient } from "./hub-client.js";

/** One file of a repository at a commit. */
export interface HubFile {
  readonly path: string;
  /** Known for large files, which the repository holds as pointers. */
  readonly sha256: string | undefined;
  /** Git's own hash of a file that is no pointer. */
  readonly blobSha1: string | undefined;
}

const answerBytesAtMost = 64 * 2 ** 20;
const pagesAtMost = 100;

const revisionAnswer = z.object({
  sha: z.string().regex(/^[0-9a-f]{40}$/),
  cardData: z
    .object({
      license: z.union([z.string(), z.array(z.string())]).nullish(),
      license_name: z.string().nullish(),
    })
    .nullish(),
  tags: z.array(z.string()).nullish(),
  siblings: z.array(z.object({ rfilename: z.string() })).nullish(),
});
const treeAnswer = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    oid: z.string().nullish(),
    lfs: z.object({ oid: z.string().regex(/^(sha256:)?[0-9a-f]{64}$/) }).nullish(),
  }),
);

/** A repository at one commit. */
export class HubRepository {
  readonly #client: HubClient;
  readonly commit: string;
  readonly licence: string | undefined;
  readonly files: ReadonlyMap<string, HubFile>;

  private constructor(
    client: HubClient,
    commit: string,
    licence: string | undefined,
    files: readonly HubFile[],
  ) {
    this.#client = client;
    this.commit = commit;
    this.licence = licence;
    this.files = new Map(files.map((file) => [file.path, file]));
  }

  /**
   * Resolves the revision to its commit and lists the files there.
   * @throws TrommelError `not-found`, `forbidden`, `too-large`, and as the hub answers
   */
  static async open(client: HubClient, { id, revision }: HubReference): Promise<HubRepository> {
    const found = await client.find(
      client.url(`api/models/${id}/revision/${encodeURIComponent(revision)}`),
      answerBytesAtMost,
    );
    if (found === undefined) {
      const advice = revision === "main" ? "" : `, or leave @${revision} out, which takes main`;
      throw client.namingEndpoint(
        new TrommelError(
          "not-found",
          `cannot pull hf:${id}@${revision}: the hub has no repository ${id}, or it has no branch, tag or commit ${revision}. Check both names${advice}`,
          { context: { id, revision } },
        ),
      );
    }
    const what = `the hub's answer about ${id}`;
    const { sha, cardData, tags, siblings } = parseAs(revisionAnswer, json(found.bytes), what, "corrupt");
    const files = await listFiles(client, id, sha);
    const named = (siblings ?? []).map(({ rfilename: path }) => ({
      path,
      sha256: undefined,
      blobSha1: undefined,
    }));
    return new HubRepository(client, sha, licenceOf(cardData ?? {}, tags ?? []), files ?? named);
  }

  /**
   * A file with its hash verified; its bytes come from `download` if it is a large one.
   * @param download for a file whose sha256 is known
   * @throws TrommelError `not-found`, `corrupt` for another hash than the repository's
   */
  async read(
    path: string,
    maxBytes: number,
    download: (url: URL, sha256: string, maxBytes: number) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const file = this.files.get(path);
    if (file === undefined) throw new TrommelError("not-found", `the repository has no file ${path}`);
    const sha256 = file.sha256 ?? (file.blobSha1 === undefined ? await this.#pointedSha256(path) : undefined);
    const url = this.#client.fileUrl(path, this.commit);
    if (sha256 !== undefined) return download(url, sha256, maxBytes);
    const answer = await this.#client.find(url, maxBytes);
    if (answer === undefined)
      throw new TrommelError("not-found", `the hub lists ${path} and does not have it`);
    if (file.blobSha1 !== undefined && gitBlobSha1(answer.bytes) !== file.blobSha1) {
      refuseContainer(answer.bytes, path);
      throw new TrommelError(
        "corrupt",
        `cannot use ${path}: its Git hash is not that of the commit ${this.commit}. Pull it again`,
      );
    }
    return answer.bytes;
  }

  /** The sha256 in a pointer, for hubs that do not list it. */
  async #pointedSha256(path: string): Promise<string | undefined> {
    const answer = await this.#client.find(this.#client.fileUrl(path, this.commit, "raw"), answerBytesAtMost);
    if (answer === undefined) return undefined;
    const start = Buffer.from(answer.bytes.subarray(0, 1024)).toString("utf8");
    const pointed = /^version https:\/\/git-lfs[^\n]*\n(?:.*\n)*?oid sha256:([0-9a-f]{64})$/m.exec(
      start,
    )?.[1];
    return pointed ?? sha256Hex(answer.bytes);
  }
}

/**
 * @returns undefined if the hub lists no trees
 * @throws TrommelError `too-large` for a list that does not end
 */
async function listFiles(
  client: HubClient,
  id: string,
  commit: string,
): Promise<readonly HubFile[] | undefined> {
  const files: HubFile[] = [];
  let page: URL | undefined = client.url(`api/models/${id}/tree/${commit}?recursive=true`);
  for (let count = 0; page !== undefined; count++) {
    if (count === pagesAtMost) {
      throw new TrommelError(
        "too-large",
        `cannot pull ${id}: the list of its files is incomplete after ${pagesAtMost} pages (${files.length} files). Check HF_ENDPOINT, or import the ONNX file by its address`,
        { context: { id, pages: pagesAtMost } },
      );
    }
    const answer = await client.find(page, answerBytesAtMost);
    if (answer === undefined) return undefined;
    for (const { type, path, oid, lfs } of parseAs(
      treeAnswer,
      json(answer.bytes),
      `the hub's list of the files of ${id}`,
      "corrupt",
    )) {
      const blobSha1 = lfs == null && oid != null && /^[0-9a-f]{40}$/.test(oid) ? oid : undefined;
      if (type === "file") files.push({ path, sha256: lfs?.oid.replace(/^sha256:/, ""), blobSha1 });
    }
    page = answer.next;
  }
  return files;
}

function licenceOf(
  card: z.infer<typeof revisionAnswer>["cardData"] & object,
  tags: readonly string[],
): string | undefined {
  const stated =
    card.license_name ??
    card.license ??
    tags.find((tag) => tag.startsWith("license:"))?.slice("license:".length);
  return stated == null ? undefined : [stated].flat().join(", ");
}

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(jsonText(bytes));
  } catch (cause) {
    throw new TrommelError("corrupt", "cannot read the hub's answer: it is not JSON. Check HF_ENDPOINT", {
      cause,
    });
  }
}

/** As `git hash-object` computes it. */
function gitBlobSha1(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.byteLength}\0`).update(bytes).digest("hex");
}
