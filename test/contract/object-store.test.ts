import { file, s3 } from "./implementations.js";
import { testObjectStore } from "./test-object-store.js";

// The other servers, radosgw among them, are in test/full/contract.
testObjectStore(file);
testObjectStore(s3({ name: "s3: (AWS behaviour)" }));
