import { openStore } from "@trommel/common";
import { manifestSource } from "#coordinator/sources/manifest/manifest-source";

/**
 * A process of its own, for the certificates that it trusts: prints what a manifest of whole locations lists, as JSON; with `--head`
 * what a look at each of its objects finds.
 */
const [location = "", flag] = process.argv.slice(2);
const form = { type: "manifest", location, hasPrefix: false, keyColumn: "key", labelColumn: null } as const;
const source = manifestSource({ ...form, columns: [] }, openStore("."));
const images = [];
for await (const { key, sizeBytes, etag } of source.list("")) {
  const found = flag === "--head" ? await source.head(key) : { sizeBytes, etag };
  images.push({ key, sizeBytes: found?.sizeBytes ?? 0, etag: found?.etag ?? "" });
}
source.close();
process.stdout.write(JSON.stringify(images));
