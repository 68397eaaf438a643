/** A typed program against the installed packages: its last line of output is what the test compares. */
export const typedExample = `
import { readFile } from "node:fs/promises";
import { loadClassifier, openTrommel, TrommelError, type Progress, type RecipeInput } from "trommel";

const recipe: RecipeInput = { backbones: ["tiny"] };
await using trommel = await openTrommel({ store: "store", workers: 1 });
await trommel.backbones.import("encoder.onnx", { name: "tiny" });

const run = await trommel.train("photos/", recipe, { id: "first" });
const stages = new Set<Progress["stage"]>();
for await (const progress of run.progress()) stages.add(progress.stage);
const { bundle, choice, ledger } = await run.result();
if (ledger.failed > 0 || choice === null || choice.outOfFold.accuracy.value < 0) throw new Error("the run failed images");

const scoring = await trommel.score("new/", { model: run, output: "scores/" });
const scored: number = (await scoring.result()).ledger.ok;

await using classifier = await loadClassifier(bundle);
const [answer] = await classifier.classify([await readFile("new/glass/012.png")]);
if (answer?.label === undefined) throw new Error("no answer");
const probability: number = answer.probability;

let refused: string | undefined;
try {
  await trommel.train("photos/", { backbones: ["no-such-backbone"] }, { id: "second" });
} catch (thrown) {
  if (!(thrown instanceof TrommelError)) throw thrown;
  refused = thrown.code;
}
console.log(JSON.stringify({ stages: stages.size, scored, label: answer.label, probability, refused }));
`;
