import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { openStore, ReleaseStack, type ObjectStore } from "@trommel/common";
import { startS3Server, type S3Server } from "../../support/servers/s3-server.js";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { trommel } from "../../support/process/cli.js";
import { withVariables } from "../../support/process/variables.js";

/** Ways into a bucket: what the server gets to see, and what it asks for. */

const folder = await temporaryFolder("s3-access");
const releases = new ReleaseStack();
const key = randomBytes(32);
const keyMd5 = createHash("md5").update(key).digest("base64");
const body = Buffer.from("the bytes of a picture");
let s3: S3Server;

before(async () => {
  s3 = await startS3Server({
    publicBuckets: ["open"],
    payingBuckets: ["paid"],
    customerKeys: { sealed: keyMd5 },
  });
  releases.add("s3", () => s3.stop());
  for (const bucket of ["open", "paid", "sealed", "own"]) {
    s3.createBucket(bucket);
    s3.putObject(bucket, "a.png", body);
  }
});
after(async () => assert.deepEqual(await releases.releaseAll(), []));

/** Opens under variables, and works under them as a process would. */
async function within<T>(
  location: string,
  variables: Readonly<Record<string, string | undefined>>,
  work: (store: ObjectStore) => Promise<T>,
): Promise<T> {
  const restore = withVariables({ ...s3.env, ...variables });
  const store = openStore(location, { s3: { maxAttempts: 1 } });
  try {
    return await work(store);
  } finally {
    store.close();
    restore();
  }
}

const noCredentials = {
  ...{ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_PROFILE: undefined },
  ...{
    AWS_CONFIG_FILE: "/nowhere",
    AWS_SHARED_CREDENTIALS_FILE: "/nowhere",
    AWS_EC2_METADATA_DISABLED: "true",
  },
};

async function firstKey(store: ObjectStore): Promise<string | undefined> {
  for await (const { key: found } of store.list("")) return found;
  return undefined;
}

describe("a public bucket", () => {
  for (const value of ["true", "YES", "open", "other, s3://open/prefix"]) {
    it(`is read without credentials with AWS_NO_SIGN_REQUEST=${value}`, async () => {
      const from = s3.requests.length;
      await within("s3://open", { ...noCredentials, AWS_NO_SIGN_REQUEST: value }, async (store) => {
        assert.equal(await firstKey(store), "a.png");
        assert.equal((await store.head("a.png"))?.sizeBytes, body.length);
        assert.deepEqual(Buffer.from(await store.get("a.png")), body);
      });
      const seen = s3.requests.slice(from);
      assert.ok(seen.length >= 3);
      for (const { headers, status } of seen) {
        assert.equal(headers["authorization"], undefined);
        assert.equal(status, 200);
      }
    });
  }

  it("leaves another bucket signed", async () => {
    await within("s3://own", { AWS_NO_SIGN_REQUEST: "open" }, async (store) => {
      await store.put("b.png", body);
      assert.deepEqual(Buffer.from(await store.get("b.png")), body);
    });
    assert.match(String(s3.requests.at(-1)?.headers["authorization"]), /^AWS4-HMAC-SHA256 /);
  });

  it("is named in what a reader without credentials is told", async () => {
    await within("s3://open", noCredentials, (store) =>
      assert.rejects(store.get("a.png"), /there are no credentials.*AWS_NO_SIGN_REQUEST/),
    );
  });
});

describe("a bucket whose reader pays", () => {
  it("is read with AWS_REQUEST_PAYER, and refused without it", async () => {
    await within("s3://paid", { AWS_REQUEST_PAYER: "requester" }, async (store) => {
      assert.equal(await firstKey(store), "a.png");
      assert.ok(await store.head("a.png"));
      assert.deepEqual(Buffer.from(await store.get("a.png")), body);
    });
    await within("s3://paid", {}, (store) => assert.rejects(store.get("a.png"), { code: "forbidden" }));
  });

  it("is entered by a command with --request-payer", async () => {
    const from = s3.requests.length;
    const args = ["status", "--store", "s3://paid/store", "--request-payer", "requester"];
    const { code, stderr } = await trommel(args, { env: s3.env, timeoutMs: 120_000 });
    assert.equal(code, 0, stderr);
    const seen = s3.requests.slice(from);
    assert.ok(seen.length > 0);
    for (const { headers, status } of seen)
      assert.deepEqual([headers["x-amz-request-payer"], status], ["requester", 200]);
  });

  it("has no other payer", () => {
    const restore = withVariables({ ...s3.env, AWS_REQUEST_PAYER: "owner" });
    assert.throws(() => openStore("s3://paid"), /cannot read AWS_REQUEST_PAYER: 'owner'/);
    restore();
  });
});

describe("objects of a customer's key", () => {
  for (const [form, content] of [
    ["bytes", key],
    ["base64", `${key.toString("base64")}\n`],
  ] as const) {
    it(`are read and written with the key of a file of ${form}`, async () => {
      const file = join(folder, form);
      await writeFile(file, content);
      const from = s3.requests.length;
      await within("s3://sealed", { TROMMEL_S3_CUSTOMER_KEY_FILE: file }, async (store) => {
        assert.ok(await store.head("a.png"));
        assert.deepEqual(Buffer.from(await store.get("a.png")), body);
        await store.put(`${form}.png`, body);
      });
      for (const { headers } of s3.requests.slice(from)) {
        const sent = (name: string): unknown => headers[`x-amz-server-side-encryption-customer-${name}`];
        assert.deepEqual(
          [sent("algorithm"), sent("key"), sent("key-md5")],
          ["AES256", key.toString("base64"), keyMd5],
        );
      }
    });
  }

  it("are refused without it, with a message that shows no key, and other buckets do not get it", async () => {
    await within("s3://sealed", {}, (store) =>
      assert.rejects(store.get("a.png"), /InvalidRequest.*status 400/),
    );
    const variables = {
      TROMMEL_S3_CUSTOMER_KEY_FILE: join(folder, "bytes"),
      TROMMEL_S3_CUSTOMER_KEY_BUCKETS: "sealed",
    };
    await within("s3://own", variables, (store) => store.get("a.png"));
    assert.equal(s3.requests.at(-1)?.headers["x-amz-server-side-encryption-customer-key"], undefined);
    const wrong = join(folder, "wrong");
    await writeFile(wrong, "c2hvcnQ=");
    const restore = withVariables({ ...s3.env, TROMMEL_S3_CUSTOMER_KEY_FILE: wrong });
    assert.throws(
      () => openStore("s3://sealed"),
      (error: Error) => /wrong holds no key/.test(error.message) && !error.message.includes("c2hvcnQ="),
    );
    restore();
  });
});
