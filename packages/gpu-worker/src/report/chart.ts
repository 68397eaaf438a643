import type { EChartsOption } from "echarts";
// One file instead of six hundred, which take six times as long to load.
import { init } from "echarts/dist/echarts.esm.min.mjs";
import sharp from "sharp";
import { escapeHtml } from "./html.js";
import { textToStrokes } from "./text-to-strokes.js";

export type ChartOption = EChartsOption;

/** The text takes the colour of the page; the others are middle tones that can be read on white and on near-black. */
export const chartColors = {
  text: "currentColor",
  muted: "#8a949e",
  grid: "#8a949e40",
  training: "#8f9aa6",
  validation: "#1f7fd4",
  rate: "#c9772b",
} as const;

export interface RenderChartInputs {
  /** Starts the ids inside the chart; one of its own for each chart of a page. */
  readonly name: string;
  readonly option: ChartOption;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** What the chart shows, for readers who do not see it. */
  readonly label: string;
}

/** Draws a chart as an inline SVG that scales with the page. */
export function renderChart(inputs: RenderChartInputs): string {
  const { label, width } = inputs;
  const svg = drawSvg(inputs, true);
  return `<div class="chart" role="img" aria-label="${escapeHtml(label)}" style="max-width:${width}px">${svg}</div>`;
}

/** Draws a chart as a PNG on white, at twice its width and height. Its texts are strokes: it needs no font. */
export async function renderChartPng(inputs: Omit<RenderChartInputs, "label">): Promise<Uint8Array> {
  const svg = Buffer.from(textToStrokes(drawSvg(inputs, false)), "utf8");
  const drawn = sharp(svg, { density: 2 * pixelsPerInch }).flatten({ background: "#ffffff" });
  return drawn.png({ compressionLevel: 9 }).toBuffer();
}

/** What librsvg takes a pixel of an SVG for. */
const pixelsPerInch = 72;

/** ECharts runs without a browser here. */
function drawSvg({ name, option, width, height }: Omit<RenderChartInputs, "label">, scales: boolean): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    const font = { fontFamily: "system-ui, sans-serif" };
    chart.setOption({ animation: false, backgroundColor: "transparent", textStyle: font, ...option });
    return withStableIds(chart.renderToSVGString({ useViewBox: scales }), name);
  } finally {
    chart.dispose();
  }
}

/**
 * ECharts counts the charts of the process in its ids, which would make every report differ from the last. Hover styles,
 * which carry ids too, go. Only tags are touched: a class may well be called "zr1-c0".
 */
function withStableIds(svg: string, name: string): string {
  return svg
    .replaceAll(/<style[^>]*>[^]*?<\/style>/g, "")
    .replaceAll(/<[^>]*>/g, (tag) =>
      tag.replaceAll(/ class="zr\d+-cls-\d+"/g, "").replaceAll(/zr\d+-/g, `${name}-`),
    );
}
