/** The default of the largest number of queued, unfinished shards of one run. */
export const defaultOutstandingShards = 2000;
