import { createHash } from "node:crypto";
import type { GetObjectCommandOutput } from "@aws-sdk/client-s3";

/**
 * Most servers' etag of an object that was written in one piece is the MD5 of its bytes: a checksum where the server sends
 * no other. It is not where the object was written in parts (the etag then has a `-`) or encrypted with a key of the
 * bucket's owner, and some servers give any 32 digits. So a body that does not fit is read a second time: the same
 * bytes twice were not changed on the way. If no body ever matched, this server's etags are no longer trusted.
 */
export class EtagCheck {
  private someFitted = false;
  private believed = true;

  /** A check of the tries at one object: false where the body may have been changed on the way. */
  ofOneObject(): (answer: GetObjectCommandOutput, bytes: Uint8Array) => boolean {
    let former: string | undefined;
    return (answer, bytes) => {
      const stated = md5Etag(answer);
      if (stated === undefined || !this.believed) return true;
      const found = md5Hex(bytes);
      if (found === stated) this.someFitted = true;
      else if (found === former) this.believed = this.someFitted;
      else {
        former = found;
        return false;
      }
      return true;
    };
  }
}

function md5Etag(answer: GetObjectCommandOutput): string | undefined {
  const { ETag, ServerSideEncryption, SSECustomerAlgorithm } = answer;
  const isEncrypted = SSECustomerAlgorithm !== undefined || (ServerSideEncryption ?? "AES256") !== "AES256";
  return isEncrypted ? undefined : /^"?([0-9a-f]{32})"?$/.exec(ETag ?? "")?.[1];
}

/** Whether the server sent a checksum of the whole body, which the SDK then compares on the way. */
export function hasChecksum(answer: GetObjectCommandOutput): boolean {
  const { ChecksumCRC32, ChecksumCRC32C, ChecksumSHA1, ChecksumSHA256 } = answer;
  return [ChecksumCRC32, ChecksumCRC32C, ChecksumSHA1, ChecksumSHA256].some(
    (checksum) => checksum !== undefined && !checksum.includes("-"),
  );
}

function md5Hex(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("hex");
}

/** For the header Content-MD5. */
export function md5Base64(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}
