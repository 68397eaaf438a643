export { imageColumnOf } from "./image-column.js";
export { openParquet } from "./open-parquet.js";
export type { ParquetObject } from "./open-parquet.js";
export { columnsOf, parquetRowGroups, requireCodecs } from "./read-rows.js";
