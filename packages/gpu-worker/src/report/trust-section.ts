import type { Choice } from "@trommel/common/artefacts";
import { paragraphs } from "./figure-sections.js";
import { htmlTable } from "./html.js";
import { number, percent, text } from "./report-page.js";

type ClassThreshold = NonNullable<Choice["thresholds"]>["perClass"][number];

/** Fewer accepted answers say little about how often they are right. */
const tellingAnswers = 20;

/** From which probability on answers are right often enough, and how novel images are. Empty for a run that has neither. */
export function trustSection({ thresholds, testNovelty }: Choice): string {
  const sentences: string[] = [];
  let table = "";
  if (thresholds !== null) {
    const wished = `right in ${Number((100 * thresholds.precision).toFixed(4))} of 100 cases`;
    const without = thresholds.perClass.filter(({ threshold }) => threshold === null);
    sentences.push(
      `From the probability in the first column on, answers should be ${wished}. The second says how often they were: the images of each fold by the probabilities of the others. trommel score --min-probability thresholds labels all other images unknown.`,
      ...(without.length === 0
        ? []
        : [
            `No probability of ${without.map(({ label }) => label).join(", ")} is ${wished}: that scoring labels all of these unknown.`,
          ]),
    );
    const few = thresholds.perClass.filter(
      ({ threshold, accepted }) => threshold !== null && accepted < tellingAnswers,
    );
    if (few.length > 0)
      sentences.push(
        `Fewer than ${tellingAnswers} answers were accepted of ${few.map(({ label }) => label).join(", ")}, too few to tell how often they are right.`,
      );
    table = htmlTable(
      [text("class"), number("accepted from"), number("right"), number("accepted"), number("of all answers")],
      thresholds.perClass.map(rowOf),
    );
  }
  if (testNovelty !== null)
    sentences.push(
      `${percent(testNovelty.share)} of the test part are more novel than ${Number((100 * testNovelty.above).toFixed(4))} % of the training images, which is what trommel score --unknown-above ${testNovelty.above} labels unknown.`,
    );
  return paragraphs(sentences) + table;
}

function rowOf({ label, threshold, precision, coverage, accepted }: ClassThreshold) {
  if (threshold === null) return [text(label), ...["–", "–", "–", "–"].map(number)];
  const share = (value: number | null) => number(value === null ? "–" : percent(value));
  return [
    text(label),
    number(threshold.toFixed(3)),
    share(precision),
    number(String(accepted)),
    share(coverage),
  ];
}
