import { TrommelError } from "@trommel/common";

/** A repository on a hub, at a branch, tag or commit. */
export interface HubReference {
  /** `organisation/name`. */
  readonly id: string;
  readonly revision: string;
}

export const hubScheme = "hf:";

/**
 * Reads `hf:<organisation>/<name>[@<revision>]`.
 * @throws TrommelError `invalid-argument`
 */
export function parseHubReference(text: string): HubReference {
  const match = /^hf:([\w.-]+\/[\w.-]+?)(?:@([\w./-]+))?$/.exec(text);
  const [, id, revision = "main"] = match ?? [];
  if (id !== undefined && !/(^|\/)\.+(\/|$)/.test(`${id}/${revision}`)) return { id, revision };
  throw new TrommelError(
    "invalid-argument",
    `cannot pull ${JSON.stringify(text)}: a model of a hub is named hf:<organisation>/<name>, such as hf:onnx-community/dinov2-small, with @<branch, tag or commit> if it is not main`,
  );
}

/** The repository's own name as one of a backbone. */
export function nameInStore({ id }: HubReference): string {
  const name = (id.split("/")[1] ?? "").toLowerCase().replace(/[^a-z0-9._-]/g, "-");
  return name.replace(/^[^a-z0-9]+/, "").slice(0, 63);
}
