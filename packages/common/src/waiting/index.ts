export { reasonOf, unlessAborted } from "./unless-aborted.js";
export { withTimeout } from "./with-timeout.js";
