import { parseDocument } from "yaml";

/** Aliases that a text may repeat: few repeat anything, and a text of doubled ones would fill the memory. */
const maxAliasCount = 100;

/**
 * Parses one YAML (or JSON) document to what JSON can hold.
 * @throws Error in the parser's words; also for what it would only warn of (an unknown tag), and for an alias inside of
 *   what it stands for
 */
export function parseYamlText(text: string): unknown {
  const document = parseDocument(text, { logLevel: "error" });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw fault;
  const value: unknown = document.toJS({ maxAliasCount });
  try {
    JSON.stringify(value);
  } catch (cause) {
    throw new Error("an alias stands for what holds it, or values are nested too deeply", { cause });
  }
  return value;
}
