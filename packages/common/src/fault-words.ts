import type { z } from "zod";

/** What a value must be, in words for people; undefined leaves the validator's own. A schema's own message wins over both. */
export function wordsOfFault(issue: z.core.$ZodRawIssue): string | undefined {
  if ((issue.code === "invalid_type" || issue.code === "invalid_union") && issue.input === undefined) {
    return "is missing";
  }
  switch (issue.code) {
    case "too_big":
      return amount(issue.origin, issue.inclusive === false ? "below" : "at most", issue.maximum);
    case "too_small":
      return amount(issue.origin, issue.inclusive === false ? "above" : "at least", issue.minimum);
    case "invalid_value":
      return `must be ${listed(issue.values.map(String))}`;
    case "invalid_type":
      return `must be ${typeWords.get(issue.expected) ?? `of type ${issue.expected}`}`;
    case "invalid_union":
      return alternatives(issue.errors);
    default:
      return undefined;
  }
}

/** The kinds of value that a choice of several takes, where the value is of none of them. */
function alternatives(faults: readonly (readonly z.core.$ZodIssue[])[]): string {
  const kinds = new Set<string>();
  for (const [fault] of faults) {
    if (fault === undefined || fault.path.length > 0) return "is not legal";
    if (fault.code === "invalid_type")
      kinds.add(typeWords.get(fault.expected) ?? `of type ${fault.expected}`);
    else if (fault.code === "invalid_value") for (const value of fault.values) kinds.add(String(value));
    else return "is not legal";
  }
  return kinds.size === 0 ? "is not legal" : `must be ${listed([...kinds])}`;
}

const typeWords: ReadonlyMap<string, string> = new Map([
  ["number", "a number"],
  ["int", "a whole number"],
  ["string", "a text"],
  ["boolean", "true or false"],
  ["array", "a list"],
  ["tuple", "a list"],
  ["object", "a mapping of fields"],
  ["record", "a mapping"],
  ["null", "null"],
]);

/** What a bound counts, by the kind of value that has it. */
const countedWords: ReadonlyMap<string, string> = new Map([
  ["string", "character"],
  ["array", "entry"],
]);

function amount(origin: string, side: string, bound: number | bigint): string {
  const counted = countedWords.get(origin);
  if (counted === undefined) return `must be ${side} ${bound}`;
  const plural = counted === "entry" ? "entries" : `${counted}s`;
  return `must have ${side} ${bound} ${Number(bound) === 1 ? counted : plural}`;
}

/** "a, b or c" */
function listed(names: readonly string[]): string {
  const last = names.at(-1) ?? "";
  return names.length < 2 ? last : `${names.slice(0, -1).join(", ")} or ${last}`;
}
