import type { S3Client } from "@aws-sdk/client-s3";
import { TrommelError } from "../../errors.js";
import { checkKey, checkPrefix } from "../key.js";
import type { Location } from "../location.js";
import type {
  CopyOptions,
  GetOptions,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  PutOptions,
} from "../object-store.js";
import { bareEtag, readObject } from "./s3-body.js";
import type { ConfiguredS3 } from "./s3-client.js";
import { objectBytesAtMost } from "../read-bounds.js";
import { BucketRemover } from "./s3-delete.js";
import { s3Error } from "./s3-errors.js";
import { failureOf, isArchived, OtherObject, TooLong } from "./s3-failure.js";
import { EtagCheck, md5Base64 } from "./s3-etag.js";
import { listBucket, writtenAt } from "./s3-list.js";
import { inPieces, partBytes, uploadInParts } from "./s3-multipart.js";
import type { S3Retries } from "./s3-retry.js";
import { s3Sdk } from "./s3-sdk.js";
import { cancelled, changed, notFound, tooLarge } from "../store-errors.js";

/**
 * A prefix of an S3 bucket as an object store. Bodies are whole arrays of known length, so that no server needs
 * chunked uploads. Requests that failed, and bodies that broke off or were changed on the way, are repeated within the
 * bounds of S3Options.
 */
export class S3Store implements ObjectStore {
  readonly url: string;
  private readonly bucket: string;
  private readonly keyRoot: string;
  private readonly client: S3Client;
  private readonly retries: S3Retries;
  private readonly etags = new EtagCheck();
  private readonly serverName: string;
  private readonly remover: BucketRemover;
  private hasConditionalWrites = true;
  private bucketWasSeen = false;

  constructor(
    location: Extract<Location, { kind: "s3" }>,
    { client, retries, serverName }: ConfiguredS3,
    private readonly onNotice: (notice: string) => void,
  ) {
    this.url = location.url;
    this.bucket = location.bucket;
    this.keyRoot = location.prefix === "" ? "" : `${location.prefix}/`;
    this.client = client;
    this.retries = retries;
    this.serverName = serverName;
    this.remover = new BucketRemover(client, retries, location.bucket, onNotice);
  }

  async get(key: string, options: GetOptions = {}): Promise<Uint8Array> {
    checkKey(key);
    try {
      const address = { bucket: this.bucket, key: this.keyRoot + key, name: `${this.url}/${key}` };
      const { client, retries, etags } = this;
      return await readObject({ client, retries, etags }, address, options);
    } catch (thrown) {
      if (options.signal?.aborted) throw cancelled(this.url, key, options.signal);
      if (thrown instanceof TooLong)
        throw tooLarge(this.url, key, thrown.sizeBytes, options.maxBytes ?? objectBytesAtMost);
      if (thrown instanceof OtherObject) throw changed(this.url, key, thrown.asked, thrown.found);
      const isMissing = await this.isMissing(thrown).catch((second: unknown) => {
        throw this.error(`read ${this.url}/${key}`, second);
      });
      if (isMissing) throw notFound(this.url, key);
      throw this.error(`read ${this.url}/${key}`, await this.withStorageClass(key, thrown));
    }
  }

  /** Adds the storage class of an archived object where the answer did not name it. */
  private async withStorageClass(key: string, thrown: unknown): Promise<unknown> {
    const failure = failureOf(thrown);
    if (!isArchived(failure) || failure.storageClass !== undefined) return thrown;
    const { HeadObjectCommand } = s3Sdk();
    const command = new HeadObjectCommand({ Bucket: this.bucket, Key: this.keyRoot + key });
    const { StorageClass } = await this.client.send(command).catch(() => ({ StorageClass: undefined }));
    return Object.assign(thrown as Error, { StorageClass });
  }

  /** A 404 whose words were lost or spoilt on the way, or are another server's, names the key instead of the bucket. */
  private async isMissing(thrown: unknown): Promise<boolean> {
    const { name, status } = failureOf(thrown);
    if (name === "NoSuchKey") return true;
    if (status !== 404 || name === "NoSuchBucket") return false;
    await this.requireBucket();
    return true;
  }

  /**
   * With `ifAbsent` there is always a look before the write: many servers ignore `If-None-Match` without a word, and
   * would overwrite. The header then decides between writers that looked at the same time, where the server knows it.
   */
  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<"written" | "exists"> {
    checkKey(key);
    const contentType = options.contentType ?? "application/octet-stream";
    try {
      if (options.ifAbsent !== true) {
        await this.retries.run(() => this.write(key, body, contentType, false));
        return "written";
      }
      if ((await this.look(key)) !== undefined) return "exists";
      return await this.writeIfAbsent(key, body, contentType);
    } catch (thrown) {
      throw this.error(`write ${this.url}/${key}`, thrown);
    }
  }

  async refusesOverwrite(key: string, body: Uint8Array): Promise<boolean> {
    checkKey(key);
    try {
      await this.retries.run(() => this.write(key, body, "application/octet-stream", true));
      return false;
    } catch (thrown) {
      const { name, status } = failureOf(thrown);
      if (status === 412 || name === "PreconditionFailed") return true;
      if (status === 501 || name === "NotImplemented") return false;
      throw this.error(`write ${this.url}/${key}`, thrown);
    }
  }

  async putStream(
    key: string,
    chunks: AsyncIterable<Uint8Array>,
    { contentType = "application/octet-stream" }: Pick<PutOptions, "contentType"> = {},
  ): Promise<void> {
    checkKey(key);
    const pieces = inPieces(chunks, partBytes);
    try {
      const first = await pieces.next();
      const bytes = first.done === true ? new Uint8Array(0) : first.value;
      if (bytes.byteLength < partBytes) {
        await this.retries.run(() => this.write(key, bytes, contentType, false));
        return;
      }
      const { client, retries, bucket } = this;
      const target = { client, retries, bucket, key: this.keyRoot + key, contentType };
      await uploadInParts(target, startingWith(bytes, pieces));
    } catch (thrown) {
      throw this.error(`write ${this.url}/${key}`, thrown);
    } finally {
      await pieces.return();
    }
  }

  /** The server copies. Both objects are looked at first, as in {@link put}: many servers ignore conditions without a word. */
  async copyFrom(
    from: ObjectStore,
    key: string,
    as: string,
    { etag, link = false }: CopyOptions = {},
  ): Promise<"written" | "exists" | "elsewhere"> {
    if (!(from instanceof S3Store) || from.serverName !== this.serverName || link) return "elsewhere";
    checkKey(key);
    checkKey(as);
    const { CopyObjectCommand } = s3Sdk();
    const source = `${from.bucket}/${from.keyRoot}${key}`;
    try {
      if ((await this.look(as)) !== undefined) return "exists";
      const found = await from.look(key);
      if (found === undefined) throw notFound(from.url, key);
      if (etag !== undefined && found.etag !== etag) throw changed(from.url, key, etag, found.etag);
      const command = new CopyObjectCommand({
        Bucket: this.bucket,
        Key: this.keyRoot + as,
        CopySource: source.split("/").map(encodeURIComponent).join("/"),
        ...(etag === undefined ? {} : { CopySourceIfMatch: `"${etag}"` }),
      });
      await this.retries.run(() => this.client.send(command));
      return "written";
    } catch (thrown) {
      if (thrown instanceof TrommelError) throw thrown;
      const { name, status } = failureOf(thrown);
      if (name === "NoSuchKey") throw notFound(from.url, key);
      if (status === 412) throw changed(from.url, key, etag ?? "", "another");
      throw this.error(`copy s3://${source} to ${this.url}/${as}`, thrown);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkKey(key);
    try {
      return await this.look(key);
    } catch (thrown) {
      throw this.error(`look at ${this.url}/${key}`, thrown);
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    checkPrefix(prefix);
    const { client, retries, bucket, keyRoot, onNotice } = this;
    const { startAfter = "", withUnusable = false } = options;
    try {
      yield* listBucket({ client, retries, bucket, keyRoot, prefix, startAfter, withUnusable, onNotice });
    } catch (thrown) {
      throw this.error(prefix === "" ? `list ${this.url}` : `list ${this.url}/${prefix}`, thrown);
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    try {
      await this.remover.remove(keys.map((key) => this.keyRoot + key));
    } catch (thrown) {
      throw this.error(`remove ${keys.length} objects from ${this.url}`, thrown);
    }
  }

  /** Unfinished uploads are for a lifecycle rule, see uploadInParts. */
  sweep(): Promise<{ readonly objects: number; readonly sizeBytes: number }> {
    return Promise.resolve({ objects: 0, sizeBytes: 0 });
  }

  close(): void {
    this.retries.close();
    this.client.destroy();
  }

  private async writeIfAbsent(
    key: string,
    body: Uint8Array,
    contentType: string,
  ): Promise<"written" | "exists"> {
    let triesBefore = 0;
    try {
      await this.retries.run(async (tries) => {
        triesBefore = tries - 1;
        await this.write(key, body, contentType, this.hasConditionalWrites);
      });
      return "written";
    } catch (thrown) {
      const { name, status } = failureOf(thrown);
      if (status === 412 || name === "PreconditionFailed")
        return triesBefore > 0 && (await this.holds(key, body)) ? "written" : "exists";
      if (status === 409) throw conditionalConflict(this.url, key);
      if (!this.hasConditionalWrites || (status !== 501 && name !== "NotImplemented")) throw thrown;
    }
    this.doWithoutConditionalWrites();
    await this.retries.run(() => this.write(key, body, contentType, false));
    return "written";
  }

  /** Whether an earlier try, whose answer was lost, wrote the object after all. */
  private async holds(key: string, body: Uint8Array): Promise<boolean> {
    const existing = await this.get(key, { maxBytes: body.byteLength }).catch((thrown: unknown) => {
      if (thrown instanceof TrommelError && ["not-found", "too-large"].includes(thrown.code))
        return undefined;
      throw thrown;
    });
    return existing !== undefined && Buffer.compare(existing, body) === 0;
  }

  private doWithoutConditionalWrites(): void {
    if (!this.hasConditionalWrites) return;
    this.hasConditionalWrites = false;
    this.onNotice(
      `bucket '${this.bucket}' has no conditional writes: "write if absent" looks before it writes`,
    );
  }

  /** Bytes that the SDK sends without a checksum go out with their MD5, which every S3 server compares. */
  private async write(
    key: string,
    body: Uint8Array,
    contentType: string,
    conditional: boolean,
  ): Promise<void> {
    const { PutObjectCommand } = s3Sdk();
    const sdkAdds = (await this.client.config.requestChecksumCalculation()) === "WHEN_SUPPORTED";
    await this.client.send(
      new PutObjectCommand({
        Bucket: this.bucket,
        Key: this.keyRoot + key,
        Body: body,
        ContentLength: body.byteLength,
        ContentType: contentType,
        ...(sdkAdds ? {} : { ContentMD5: md5Base64(body) }),
        ...(conditional ? { IfNoneMatch: "*" } : {}),
      }),
    );
  }

  private async look(key: string): Promise<ObjectInfo | undefined> {
    const { HeadObjectCommand } = s3Sdk();
    try {
      const command = new HeadObjectCommand({ Bucket: this.bucket, Key: this.keyRoot + key });
      const answer = await this.retries.run(() => this.client.send(command));
      const { ContentLength = 0, ETag, LastModified } = answer;
      return { key, sizeBytes: ContentLength, etag: bareEtag(ETag), ...writtenAt(LastModified) };
    } catch (thrown) {
      if (failureOf(thrown).status !== 404) throw thrown;
    }
    await this.requireBucket();
    return undefined;
  }

  /** HEAD answers 404 without a body, so a missing bucket and a missing key look alike: asked once per store. */
  private async requireBucket(): Promise<void> {
    if (this.bucketWasSeen) return;
    const { HeadBucketCommand } = s3Sdk();
    try {
      await this.retries.run(() => this.client.send(new HeadBucketCommand({ Bucket: this.bucket })));
    } catch (thrown) {
      if (failureOf(thrown).status !== 404) throw thrown;
      throw Object.assign(new Error("the bucket is not there"), { name: "NoSuchBucket" });
    }
    this.bucketWasSeen = true;
  }

  private error(doing: string, thrown: unknown): TrommelError {
    return s3Error({ doing, bucket: this.bucket, serverName: this.serverName }, thrown);
  }
}

async function* startingWith(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

function conditionalConflict(url: string, key: string): TrommelError {
  return new TrommelError(
    "conflict",
    `cannot write ${url}/${key}: somebody else is writing it at this moment. Try again`,
    { retryable: true },
  );
}
