/** `npm run demo:data`: draws the demo's pictures and unpacks its backbone, for the commands of the getting-started guide. */
import path from "node:path";
import { drawPictures, labelledFolder, unlabelledFolder, unpackModel } from "./demo-data.js";

const shown = (file: string): string => path.relative(process.cwd(), file);

await drawPictures((words) => process.stderr.write(`demo: ${words}\n`));
console.log(`backbone:         ${shown(await unpackModel())}`);
console.log(`labelled:         ${shown(labelledFolder)}/<class>/`);
console.log(`without a label:  ${shown(unlabelledFolder)}`);
