/** Pictures that an S3 server has, as objects and in archives. */
export interface PictureServerOptions {
  /** Folder of the pictures, and their names there. */
  readonly folder: string;
  readonly names: readonly string[];
}

/** Where what lies in the bucket. */
export const served = {
  folder: "s3://pictures/folder",
  manifest: "s3://pictures/lists/pictures.csv",
  tar: "s3://pictures/archives/pictures.tar",
  zip: "s3://pictures/archives/pictures.zip",
  parquet: "s3://pictures/archives/pictures.parquet",
} as const;
