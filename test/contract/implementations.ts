import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FaultyS3, startFaultyS3 } from "../support/servers/faulty-s3.js";
import { type Radosgw, startRadosgw, whyNoRadosgw } from "../support/servers/radosgw.js";
import { type S3Server, type S3ServerOptions, startS3Server } from "../support/servers/s3-server.js";
import { withVariables } from "../support/process/variables.js";

/** What every object store must do. Each implementation opens fresh, empty stores and is held to the same suite. */
export interface Implementation {
  readonly name: string;
  /** False where the server lets two writers that look at the same time both write. */
  readonly decidesRaces: boolean;
  setUp(): Promise<void>;
  tearDown(): Promise<void>;
  /** False where the listing and removing of thousands of keys is another implementation's to show. */
  readonly takesThousands?: boolean;
  /** The location of an empty store. */
  makeEmpty(): string | Promise<string>;
  /** Puts small objects into the store that was made last, past the protocol: thousands of requests take long. */
  fill?(keys: readonly string[]): void;
  /** Why this machine cannot run it. */
  readonly skip?: string | undefined;
}

export const file: Implementation & { folder: string; count: number } = {
  name: "file:",
  decidesRaces: true,
  folder: "",
  count: 0,
  async setUp() {
    this.folder = await mkdtemp(join(tmpdir(), "trommel-store-"));
  },
  async tearDown() {
    await rm(this.folder, { recursive: true });
  },
  makeEmpty() {
    this.count += 1;
    return join(this.folder, `store ${this.count}`);
  },
};

interface S3Case {
  readonly name: string;
  readonly server?: S3ServerOptions;
  readonly variables?: Readonly<Record<string, string>>;
}

export function s3({ name, server: serverOptions = {}, variables = {} }: S3Case): Implementation {
  let server: S3Server;
  let restore: () => void;
  let count = 0;
  return {
    name,
    decidesRaces: (serverOptions.conditionalWrites ?? "honoured") === "honoured",
    async setUp() {
      server = await startS3Server(serverOptions);
      restore = withVariables({ ...server.env, ...variables });
    },
    async tearDown() {
      restore();
      await server.stop();
    },
    makeEmpty() {
      count += 1;
      server.createBucket(`bucket-${count}`);
      return `s3://bucket-${count}${prefixOf(count)}`;
    },
    fill(keys) {
      const prefix = prefixOf(count).replace(/^\//, "");
      for (const key of keys)
        server.putObject(`bucket-${count}`, prefix === "" ? key : `${prefix}/${key}`, Buffer.from("x"));
    },
  };
}

/** Every second store is below a prefix. */
const prefixOf = (count: number): string => (count % 2 === 0 ? "" : "/deep prefix+é/v1");

export const withoutChecksums = {
  AWS_REQUEST_CHECKSUM_CALCULATION: "WHEN_REQUIRED",
  AWS_RESPONSE_CHECKSUM_VALIDATION: "WHEN_REQUIRED",
};

let radosgw: Radosgw | undefined;
let radosgwBuckets = 0;

/** For the end of the tests that used one. */
export async function stopRadosgw(): Promise<void> {
  await radosgw?.stop();
}

const noRadosgw = await whyNoRadosgw();

/** @param lesser without conditional writes and DeleteObjects */
export function ceph({ name, variables = {} }: S3Case, lesser = false): Implementation {
  let proxy: FaultyS3 | undefined;
  let restore: () => void;
  return {
    name,
    skip: noRadosgw,
    decidesRaces: !lesser,
    takesThousands: !lesser && Object.keys(variables).length === 0,
    async setUp() {
      radosgw ??= await startRadosgw();
      proxy = lesser ? await startFaultyS3(radosgw.endpoint) : undefined;
      if (proxy !== undefined)
        proxy.rule = ({ method, url, headers }) =>
          headers["if-none-match"] === "*" || (method === "POST" && url.includes("?delete"))
            ? { kind: "answer", status: 501, code: "NotImplemented" }
            : undefined;
      restore = withVariables({
        ...radosgw.env,
        ...(proxy === undefined ? {} : { AWS_ENDPOINT_URL_S3: proxy.endpoint }),
        ...variables,
      });
    },
    async tearDown() {
      restore();
      await proxy?.stop();
    },
    async makeEmpty() {
      radosgwBuckets += 1;
      const bucket = `bucket-${radosgwBuckets}`;
      await radosgw?.createBucket(bucket);
      return `s3://${bucket}${prefixOf(radosgwBuckets)}`;
    },
  };
}
