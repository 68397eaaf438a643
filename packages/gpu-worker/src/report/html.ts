/** Text as HTML, safe in elements and in double-quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A table cell: numbers to the right, text to the left. */
export interface Cell {
  readonly text: string;
  readonly numeric?: boolean;
  /** The full text if `text` is an abbreviation. */
  readonly title?: string;
}

/** A table; every text is escaped here. */
export function htmlTable(headings: readonly Cell[], rows: readonly (readonly Cell[])[]): string {
  const head = headings.map((cell) => `<th scope="col"${attributes(cell)}>${escapeHtml(cell.text)}</th>`);
  const body = rows.map((cells) => {
    return `<tr>${cells.map((cell) => `<td${attributes(cell)}>${escapeHtml(cell.text)}</td>`).join("")}</tr>`;
  });
  const header = head.length === 0 ? "" : `<thead><tr>${head.join("")}</tr></thead>`;
  return `<div class="scroll"><table>${header}<tbody>${body.join("\n")}</tbody></table></div>`;
}

function attributes({ numeric, title }: Cell): string {
  const shown = title === undefined ? "" : ` title="${escapeHtml(title)}"`;
  return `${numeric === true ? ' class="number"' : ""}${shown}`;
}
