import { s3, withoutChecksums } from "../../contract/implementations.js";
import { testObjectStore } from "../../contract/test-object-store.js";

testObjectStore(s3({ name: "s3: without optional checksums", variables: withoutChecksums }));
testObjectStore(
  s3({
    name: "s3: (501 for conditional writes and DeleteObjects)",
    server: { conditionalWrites: "refused", deleteObjects: "refused" },
  }),
);
testObjectStore(s3({ name: "s3: (conditional writes ignored)", server: { conditionalWrites: "ignored" } }));
