import { register } from "node:module";
import { writeSync } from "node:fs";
import { createRequire } from "node:module";

/**
 * Given to a process by `--import`: it writes on stderr the address of every module that is loaded, by `import` at once and by
 * `require` at its end.
 */
const hooks = `
  import { writeSync } from "node:fs";
  export async function load(url, context, next) {
    writeSync(2, url + "\\n");
    return next(url, context);
  }`;

register(`data:text/javascript,${encodeURIComponent(hooks)}`);
process.once("exit", () => {
  const { cache } = createRequire(import.meta.url);
  writeSync(2, `${Object.keys(cache).join("\n")}\n`);
});
