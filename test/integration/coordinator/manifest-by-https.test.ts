import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { hasOpenssl, startHttpsServer } from "../../support/servers/https-server.js";

const run = promisify(execFile);
const lister = fileURLToPath(new URL("../../support/process/list-manifest.js", import.meta.url));

it(
  "lists an image by the hash of its bytes if its server gives no etag, so that other bytes of the same size are seen",
  { skip: hasOpenssl ? false : "openssl is missing" },
  async () => {
    const folder = await temporaryFolder("manifest-by-https");
    let bare = Buffer.from("one picture");
    const server = await startHttpsServer(folder, ({ url, method }, response) => {
      const hasEtag = url === "/tagged.jpg";
      if (url !== "/bare.jpg" && !hasEtag) return void response.writeHead(404, { "content-length": 0 }).end();
      const headers = { "content-length": bare.length, ...(hasEtag ? { etag: '"seven"' } : {}) };
      response.writeHead(200, headers).end(method === "HEAD" ? undefined : bare);
    });
    try {
      const at = (name: string): string => `${server.origin}/${name}`;
      const manifest = join(folder, "list.csv");
      await writeFile(manifest, ["key", ...["bare.jpg", "tagged.jpg", "gone.jpg"].map(at)].join("\n"));
      const list = async (...flags: string[]): Promise<unknown> => {
        const env = {
          ...process.env,
          ...{ NODE_EXTRA_CA_CERTS: server.caFile, TROMMEL_HTTPS_HOSTS: "localhost" },
          TROMMEL_HTTPS_PRIVATE: "true",
        };
        const { stdout } = await run(process.execPath, [lister, manifest, ...flags], { env });
        return JSON.parse(stdout) as unknown;
      };
      const expected = (): unknown => [
        {
          key: at("bare.jpg"),
          sizeBytes: 11,
          etag: `content-sha256-${createHash("sha256").update(bare).digest("hex")}`,
        },
        { key: at("tagged.jpg"), sizeBytes: 11, etag: "seven" },
        { key: at("gone.jpg"), sizeBytes: 0, etag: "" },
      ];
      assert.deepEqual(await list(), expected());
      // A retry looks at single objects, and must find what the listing found.
      assert.deepEqual(await list("--head"), expected());
      bare = Buffer.from("two picture");
      assert.deepEqual(await list(), expected());
    } finally {
      server.stop();
    }
  },
);
