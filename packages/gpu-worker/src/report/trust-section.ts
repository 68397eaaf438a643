import type { Choice } from "@trommel/common/artefacts";
import { paragraphs } from "./figure-sections.js";
import { htmlTable } from "./html.js";
import { number, percent, text } from "./report-page.js";

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
    const share = (value: number | null) => number(value === null ? "–" : percent(value));
    table = htmlTable(
      [text("class"), number("accepted from"), number("right"), number("answers accepted")],
      thresholds.perClass.map(({ label, threshold, precision, coverage }) => [
        text(label),
        number(threshold === null ? "–" : threshold.toFixed(3)),
        share(precision),
        share(coverage),
      ]),
    );
  }
  if (testNovelty !== null)
    sentences.push(
      `${percent(testNovelty.share)} of the test part are more novel than ${Number((100 * testNovelty.above).toFixed(4))} % of the training images, which is what trommel score --unknown-above ${testNovelty.above} labels unknown.`,
    );
  return paragraphs(sentences) + table;
}
