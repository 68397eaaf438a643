export { columnTypesOf } from "./column-types.js";
export type { ParquetColumnType } from "./column-types.js";
export { imageColumnOf, requireColumn } from "./image-column.js";
export { daysOf, instantOf } from "./instants.js";
export { openParquet } from "./open-parquet.js";
export type { ParquetObject } from "./open-parquet.js";
export { parquetRowGroups, requireCodecs } from "./read-rows.js";
