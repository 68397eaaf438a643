import { readFileSync } from "node:fs";

const packageFile = new URL("../package.json", import.meta.url);
const manifest = JSON.parse(readFileSync(packageFile, "utf8")) as { readonly version: string };

/** The version of all four packages. */
export const version = manifest.version;
