import { after } from "node:test";
import { ceph, stopRadosgw, withoutChecksums } from "../../contract/implementations.js";
import { testObjectStore } from "../../contract/test-object-store.js";

after(stopRadosgw);
testObjectStore(ceph({ name: "s3: (radosgw)" }));
testObjectStore(ceph({ name: "s3: (radosgw) without optional checksums", variables: withoutChecksums }));
testObjectStore(ceph({ name: "s3: (radosgw, 501 for conditional writes and DeleteObjects)" }, true));
