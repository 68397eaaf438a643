import { TrommelError } from "../../errors.js";

/** A repository on a hub, at a branch, tag or commit. */
export interface HubReference {
  /** `organisation/name`. */
  readonly id: string;
  readonly revision: string;
}

/** The hub that is asked unless HF_ENDPOINT names another. */
export const publicHub = "https://huggingface.co";

const scheme = "hf:";

export function isHubReference(text: string): boolean {
  return text.startsWith(scheme);
}

/**
 * Reads `hf:<organisation>/<name>[@<revision>]`.
 * @throws TrommelError `invalid-argument`, with the right spelling where the text is close to one
 */
export function parseHubReference(text: string): HubReference {
  const found = readReference(text);
  if (found !== undefined) return found;
  const right = hubSpelling(text);
  throw new TrommelError(
    "invalid-argument",
    `cannot pull ${JSON.stringify(text)}: a model of a hub is named hf:<organisation>/<name>, such as hf:onnx-community/dinov2-small, with @<branch, tag or commit> if it is not main` +
      (right === undefined ? "" : `. Write ${right}`),
  );
}

function readReference(text: string): HubReference | undefined {
  const match = /^hf:([\w.-]+\/[\w.-]+?)(?:@([\w./-]+))?$/.exec(text);
  const [, id, revision = "main"] = match ?? [];
  if (id === undefined || /(^|\/)\.+(\/|$)/.test(`${id}/${revision}`)) return undefined;
  return { id, revision };
}

/**
 * A reference, with the flag of a file if one is named, as `pull` takes it: of the address of a repository's page or file
 * (`https://huggingface.co/<organisation>/<name>/tree/<revision>`), of `HF:` or `hf://`, or of `<organisation>/<name>` alone.
 * @returns undefined for a text that means no repository, such as the path of a file
 */
export function hubSpelling(text: string): string | undefined {
  const bare = text.trim().replace(/^hf:(\/\/)?/i, "");
  const path = bare.replace(/^(https?:\/\/)?(www\.)?(huggingface\.co|hf\.co)\//i, "");
  const isPlain = path === text.trim();
  if (isPlain && /\.(onnx|json|h5|safetensors|zip)$/i.test(path)) return undefined;
  const match =
    /^([^/?#@]+\/[^/?#@]+)(?:@([^?#]+)|\/(?:tree|blob|resolve|raw)\/([^/?#]+)(?:\/([^?#]*))?)?\/?(?:[?#].*)?$/.exec(
      path,
    );
  const [, id = "", given, ofPage = "main", file = ""] = match ?? [];
  const revision = given ?? ofPage.replaceAll(/%2f/gi, "/");
  const reference = `${scheme}${id}${revision === "main" ? "" : `@${revision}`}`;
  if (readReference(reference) === undefined) return undefined;
  return /\.onnx$/i.test(file) ? `${reference} --file ${file}` : reference;
}

/** The repository's own name as one of a backbone. */
export function nameInStore({ id }: HubReference): string {
  const name = (id.split("/")[1] ?? "").toLowerCase().replace(/[^a-z0-9._-]/g, "-");
  return name.replace(/^[^a-z0-9]+/, "").slice(0, 63);
}

/** How the backbone gets into a store that a recipe names by its repository. @returns undefined for another name */
export function hubAdvice(backbone: string): { readonly pull: string; readonly name: string } | undefined {
  const right = hubSpelling(backbone);
  if (right === undefined) return undefined;
  const [reference = ""] = right.split(" ");
  return { pull: `trommel backbone pull ${right}`, name: nameInStore(parseHubReference(reference)) };
}
