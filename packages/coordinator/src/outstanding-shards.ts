/** Shards of one run that are queued and unfinished at most, unless told otherwise. */
export const defaultOutstandingShards = 2000;
