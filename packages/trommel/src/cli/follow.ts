import { toTrommelError, type ListingOverview, type RunResult, type Scoring, type Work } from "../index.js";
import { counted } from "./describe/counted.js";
import { describeListing } from "./describe/describe-listing.js";
import { describeResult } from "./describe/describe-result.js";
import { openDisplay } from "./progress-display.js";
import { RoundLines } from "./round-lines.js";
import { exitCodes, type Terminal } from "./terminal.js";

export interface FollowFlags {
  readonly follow?: boolean;
}

/** Whether a command leaves what it queued: with a cluster of its own it never can, and says so where it is asked to. */
export function isDetached(terminal: Terminal, flags: FollowFlags & { readonly redis?: string }): boolean {
  if (flags.redis === undefined) return flags.follow === false;
  return !(flags.follow ?? terminal.io.stderr.isTTY ?? false);
}

/** What the command of work that is complete leaves undone; 'trommel resume' says it too, and has no such flags. */
const nothingAgain = {
  run: "nothing was listed again; 'trommel train' with another --run takes in what has come since",
  scoring: "nothing was listed again; 'trommel score' again takes in what has come since",
  sorting:
    "nothing was sorted again; 'trommel sort' with another --into sorts the pictures into another place",
} as const;

/** Shows a run, scoring or sorting that was begun: its progress to its end, or that it is queued, or what it came to before. */
export async function showWork(
  terminal: Terminal,
  work: Work,
  detached: boolean,
): Promise<RunResult | undefined> {
  const { id, kind } = work;
  if (isScoring(work) && work.met === "unchanged") {
    terminal.say(`${id} is complete, and its source has not changed since: nothing to score`);
  } else if (work.begun === "complete") {
    terminal.say(`${id} is complete already, and ${nothingAgain[kind]}`);
  } else if (detached) {
    terminal.say(`queued ${id}; 'trommel status ${id} --follow' watches it`);
    terminal.result({ id, kind, phase: "running" });
    return undefined;
  } else if (work.begun === "joined") {
    terminal.say(`${id} is being worked on by another command; following it`);
  }
  const result = await followToEnd(terminal, work);
  showResult(terminal, work, result);
  if (kind !== "sorting") noteNothingRead(terminal, result);
  return result;
}

/** Shows on stderr what was listed, as soon as the listing is complete, and progress until the work ends. */
export async function followToEnd(terminal: Terminal, work: Work): Promise<RunResult> {
  const display = openDisplay(terminal.io.stderr);
  const rounds = new RoundLines();
  let isListed = false;
  try {
    for await (const { progress } of work.watch()) {
      display.show(progress);
      for await (const line of rounds.next(work, progress)) display.say(line);
      if (isListed) continue;
      const listing = await listingIfRead(work);
      if (listing === undefined) continue;
      isListed = true;
      if (work.kind === "run" || listing.leftOut !== undefined)
        for (const line of describeListing(listing)) display.say(line);
    }
    return await work.summary();
  } finally {
    display.stop();
  }
}

/** It is only shown: while the store fails it is left for the next time that progress is shown. */
async function listingIfRead(work: Work): Promise<ListingOverview | undefined> {
  try {
    return await work.listing();
  } catch (thrown) {
    if (toTrommelError(thrown).retryable) return undefined;
    throw thrown;
  }
}

/** A scoring of which no file could be read is complete and balances; a script must not take it for scores. */
function noteNothingRead(terminal: Terminal, { ledger }: RunResult): void {
  if (ledger.ok + (ledger.unchanged ?? 0) > 0) return;
  terminal.exitCode = exitCodes.nothingRead;
  terminal.say(
    `none of the ${counted(ledger.listed, "file")} could be read (exit code ${exitCodes.nothingRead})`,
  );
}

export function isScoring(work: Work): work is Scoring {
  return work.kind === "scoring";
}

/** Prints a finished run, scoring or sorting. */
export function showResult(
  terminal: Terminal,
  { id, kind }: Pick<Work, "id" | "kind">,
  result: RunResult,
): void {
  for (const line of describeResult(id, kind, result)) terminal.say(line);
  terminal.result({ id, kind, phase: "complete", ...(result.sorted ?? result) });
}
