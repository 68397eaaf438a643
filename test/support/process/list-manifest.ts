import { openStore } from "@trommel/common";
import { manifestSource } from "#coordinator/sources/manifest/manifest-source";

/** A process of its own, for the certificates that it trusts: prints what a manifest of whole locations lists, as JSON. */
const [location = ""] = process.argv.slice(2);
const form = { type: "manifest", location, hasPrefix: false, keyColumn: "key", labelColumn: null } as const;
const source = manifestSource({ ...form, columns: [] }, openStore("."));
const images = [];
for await (const { key, sizeBytes, etag } of source.list("")) images.push({ key, sizeBytes, etag });
source.close();
process.stdout.write(JSON.stringify(images));
