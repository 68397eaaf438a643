/** The S3 server of a chaos run as a process of its own. Ends when its channel closes. */
import { startS3Server, type RecordedRequest } from "../../support/servers/s3-server.js";

const server = await startS3Server();
for (const bucket of process.argv.slice(2)) server.createBucket(bucket);
// What it was asked is counted at the proxy; kept here it would grow without end.
setInterval(() => ((server.requests as RecordedRequest[]).length = 0), 1000);
process.once("disconnect", () => process.exit(0));
process.send?.({ env: server.env });
