import type { S3Client } from "@aws-sdk/client-s3";
import { failureOf } from "./s3-failure.js";
import type { S3Retries } from "./s3-retry.js";
import { s3Sdk } from "./s3-sdk.js";

/** The most keys that one DeleteObjects takes. */
const chunkSize = 1000;
/** Single removals under way at once, for servers that lack DeleteObjects. */
const singleWindow = 16;

/** Answers of servers that have no DeleteObjects, or want an MD5 header that the SDK no longer sends. */
const lacking = new Set(["NotImplemented", "MethodNotAllowed", "MissingContentMD5"]);

/** Removes keys of one bucket; remembers where the server cannot remove many at once. */
export class BucketRemover {
  private canRemoveMany = true;

  constructor(
    private readonly client: S3Client,
    private readonly retries: S3Retries,
    private readonly bucket: string,
    private readonly onNotice: (notice: string) => void,
  ) {}

  async remove(keys: readonly string[]): Promise<void> {
    for (let start = 0; start < keys.length; start += chunkSize) {
      const chunk = keys.slice(start, start + chunkSize);
      if (!this.canRemoveMany || !(await this.removeMany(chunk))) await this.removeSingly(chunk);
    }
  }

  /** False where the server does not have the operation. */
  private async removeMany(keys: readonly string[]): Promise<boolean> {
    try {
      await this.retries.run(() => this.requestMany(keys));
      return true;
    } catch (thrown) {
      const { name, status } = failureOf(thrown);
      if (!lacking.has(name) && status !== 501 && status !== 405) throw thrown;
    }
    this.canRemoveMany = false;
    this.onNotice(`bucket '${this.bucket}' has no DeleteObjects: objects are removed one at a time`);
    return false;
  }

  /** @throws also what the answer, as a whole a success, says about single keys */
  private async requestMany(keys: readonly string[]): Promise<void> {
    const { DeleteObjectsCommand } = s3Sdk();
    const Delete = { Objects: keys.map((Key) => ({ Key })), Quiet: true };
    const answer = await this.client.send(new DeleteObjectsCommand({ Bucket: this.bucket, Delete }));
    const failed = answer.Errors?.find((error) => error.Code !== "NoSuchKey");
    if (failed === undefined) return;
    const status = failed.Code === "AccessDenied" ? 403 : 500;
    const reason = new Error(`${failed.Key ?? "a key"}: ${failed.Message ?? "no message"}`);
    throw Object.assign(reason, { name: failed.Code ?? "Error", $metadata: { httpStatusCode: status } });
  }

  private async removeSingly(keys: readonly string[]): Promise<void> {
    const { DeleteObjectCommand } = s3Sdk();
    for (let start = 0; start < keys.length; start += singleWindow) {
      const window = keys.slice(start, start + singleWindow);
      await Promise.all(
        window.map((Key) =>
          this.retries.run(() => this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key }))),
        ),
      );
    }
  }
}
