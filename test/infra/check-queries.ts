import { workerQueues } from "@trommel/common";
import { stages } from "@trommel/common/jobs";

/**
 * Whether what Prometheus and Grafana ask for exists: metrics, their labels, those that an answer still has, and the values of labels
 * that have a fixed set. It reads as much of PromQL as the alerts and the dashboard are written in.
 */

/** The labels of each series, by its name. */
export type KnownSeries = ReadonlyMap<string, ReadonlySet<string>>;

export interface Query {
  readonly expr: string;
  /** Texts with labels of the answer: `{{stage}}` in a legend, `{{ $labels.stage }}` in an annotation. */
  readonly texts: readonly string[];
}

const labelValues: Readonly<Record<string, readonly string[]>> = {
  stage: stages,
  queue: [...workerQueues, "plan"],
  state: ["waiting", "prioritized", "delayed", "active", "waiting-children"],
  outcome: ["done", "failed", "retried", "handed-back", "cancelled"],
  kind: ["coordinator", "worker", "dashboard"],
  device: ["cpu", "cuda", "webgpu"],
};

const aggregation = /\b(?:sum|min|max|avg|count) *(?:(by|without) *\(([^)]*)\) *)?\(/g;
const matching = /\b(?:on|ignoring) *\(([^)]*)\)/g;
const words = new Set(["and", "or", "unless", "offset"]);

/** @returns what is wrong with a query, one line each */
export function queryProblems({ expr, texts }: Query, known: KnownSeries): string[] {
  const problems = new Set<string>();
  const series = new Map(known);
  // From the innermost aggregation outwards: each becomes a series with the labels that it leaves.
  let text = expr;
  for (let last = lastAggregation(text); last !== undefined; last = lastAggregation(text)) {
    const [head, how, list = ""] = last;
    const start = last.index + head.length;
    const end = closingOf(text, start);
    const labels = labelsOf(text.slice(start, end), namesIn(list), series, problems);
    const name = `aggregate:${series.size}`;
    const left = how === "without" ? without(labels, namesIn(list)) : namesIn(list);
    series.set(name, new Set(left));
    text = `${text.slice(0, last.index)} ${name} ${text.slice(end + 1)}`;
  }
  const left = labelsOf(text, [], series, problems);
  for (const shown of texts.flatMap((one) => [...one.matchAll(/\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}/g)])) {
    const [, label = ""] = shown;
    if (!left.has(label)) problems.add(`the answer of ${expr} has no label ${label}, which is shown`);
  }
  return [...problems];
}

function lastAggregation(text: string): RegExpExecArray | undefined {
  return [...text.matchAll(aggregation)].at(-1);
}

/** Where the parenthesis closes that opened before `start`. @throws Error if it never does */
function closingOf(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at += 1) {
    if (text[at] === "(") depth += 1;
    else if (text[at] === ")") depth -= 1;
    if (depth === 0) return at;
  }
  throw new Error(`a parenthesis of ${text} is not closed`);
}

/** Checks the series of a text without aggregations. @param needed labels that all of them must have @returns those of the first one */
function labelsOf(
  text: string,
  needed: readonly string[],
  series: KnownSeries,
  problems: Set<string>,
): ReadonlySet<string> {
  const all = [...needed, ...[...text.matchAll(matching)].flatMap(([, list = ""]) => namesIn(list))];
  const bare = text.replace(matching, " ").replace(/\[[^\]]*\]|\boffset +\w+/g, " ");
  let first: ReadonlySet<string> | undefined;
  for (const [, name = "", isCall, matchers = ""] of bare.matchAll(
    /([a-z_][\w:]*)( *\()?(?:\{([^}]*)\})?/gi,
  )) {
    if (isCall !== undefined || words.has(name)) continue;
    const labels = series.get(name);
    if (labels === undefined) {
      problems.add(`${name} is no metric`);
      continue;
    }
    first ??= labels;
    for (const label of all) if (!labels.has(label)) problems.add(`${name} has no label ${label}`);
    for (const [, label = "", how = "", value = ""] of matchers.matchAll(/(\w+) *([=!][=~]?) *"([^"]*)"/g)) {
      if (!labels.has(label)) problems.add(`${name} has no label ${label}`);
      for (const one of how.endsWith("~") ? value.split("|") : [value])
        if (labelValues[label]?.includes(one) === false) problems.add(`no ${label} is ${one}`);
    }
  }
  return first ?? new Set();
}

function namesIn(list: string): string[] {
  return list.split(",").flatMap((name) => name.trim() || []);
}

function without(labels: ReadonlySet<string>, left: readonly string[]): string[] {
  return [...labels].filter((label) => !left.includes(label));
}
