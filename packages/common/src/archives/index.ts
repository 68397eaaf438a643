export { gunzipped, rangesOf } from "./byte-source.js";
export type { ByteSource } from "./byte-source.js";
export { decodePage, pageHeader } from "./parquet-page.js";
export type { Page } from "./parquet-page.js";
export { damagedArchive, unpack } from "./unpack.js";
