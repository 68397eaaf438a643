import { createRequire } from "node:module";
import type * as ClientS3 from "@aws-sdk/client-s3";

let loaded: typeof ClientS3 | undefined;

/**
 * The AWS SDK, loaded when a bucket is first opened: a fifth of a second that no command and no thread has to wait for
 * where the store is a folder. Opening a store does not wait for anything, hence no `import()`.
 */
export function s3Sdk(): typeof ClientS3 {
  loaded ??= createRequire(import.meta.url)("@aws-sdk/client-s3") as typeof ClientS3;
  return loaded;
}
