/**
 * Trains and scores by the API: `node examples/dist/train-and-score.js` in a clone, after `npm run demo:data`.
 * Everything is in .trommel/example; a second call finds what is done.
 */
import { readFile } from "node:fs/promises";
import { loadClassifier, openTrommel } from "trommel";

const data = ".trommel/demo";

await using trommel = await openTrommel({ store: ".trommel/example/store", workers: 2 });

await trommel.backbones.import(`${data}/nsfwjs-mobilenet-v2/model.json`, {
  name: "mobilenetv2",
  output: "out_relu",
  size: 224,
  normalize: "unit",
});

const recipe = { backbones: ["mobilenetv2"], views: { count: 2 }, head: { effort: "quick" as const } };
const run = await trommel.train(`${data}/labelled`, recipe, { id: "example" });
for await (const { stage, done, total, unit } of run.progress())
  console.error(stage, `${done}/${total} ${unit}`);
const { bundle, choice } = await run.result();
const accuracy = choice?.outOfFold.accuracy;
console.log(
  `accuracy ${accuracy?.value.toFixed(3)} (${accuracy?.low.toFixed(3)} to ${accuracy?.high.toFixed(3)})`,
);

const scoring = await trommel.score(`${data}/unlabelled`, { model: run, output: ".trommel/example/scores" });
const { ledger } = await scoring.result();
console.log(
  `${ledger.listed} listed = ${ledger.ok} ok + ${ledger.failed} failed + ${ledger.skipped} skipped`,
);

// A bundle needs neither the store nor a queue.
await using classifier = await loadClassifier(bundle);
const names = ["000.jpg", "001.jpg", "truncated.jpg"];
const images = await Promise.all(names.map((name) => readFile(`${data}/unlabelled/${name}`)));
for (const [index, answer] of (await classifier.classify(images)).entries()) {
  const said = answer.error === undefined ? `${answer.label} ${answer.probability}` : answer.error.reason;
  console.log(`${names[index]}  ${said}`);
}
