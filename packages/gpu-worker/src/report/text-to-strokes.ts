import { strokeText } from "./stroke-font.js";

/** Half the height of a capital, in tenths of the font size: ECharts centres its texts on their line. */
const halfCapital = 3.5;

/** An SVG of ECharts with its texts as strokes, so that it looks the same on every machine. */
export function textToStrokes(svg: string): string {
  return svg.replaceAll(/<text ([^>]*)>([^<]*)<\/text>/g, (_, attributes: string, text: string) => {
    const attribute = (name: string) => new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1];
    const style = attribute("style") ?? "";
    const scale = Number(/font-size:([\d.]+)px/.exec(style)?.[1] ?? 12) / 10;
    const strokeWidth = style.includes("font-weight:bold") ? 1.25 : 0.85;
    const { width, glyphs } = strokeText(text);
    const before = { start: 0, middle: width / 2, end: width }[attribute("text-anchor") ?? "start"] ?? 0;
    const x = Number(attribute("x") ?? 0) - before * scale;
    const y = Number(attribute("y") ?? 0) + halfCapital * scale;
    const paths = glyphs.map(
      (glyph) => `<path transform="translate(${rounded(glyph.x)} 0)" d="${glyph.path}"/>`,
    );
    return (
      `<g transform="${attribute("transform") ?? ""} translate(${rounded(x)} ${rounded(y)}) scale(${scale})" fill="none" ` +
      `stroke="${attribute("fill") ?? "#000"}" stroke-width="${strokeWidth}" stroke-linecap="round" ` +
      `stroke-linejoin="round">${paths.join("")}</g>`
    );
  });
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}
