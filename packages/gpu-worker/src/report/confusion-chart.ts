import type { Evaluation } from "@trommel/common";
import { chartColors, renderChart, type ChartOption } from "./chart.js";

/** Counts are written into the cells up to this many classes; above that only the colours show them. */
const mostClassesWithCounts = 40;

/** The confusion matrix as a heat map in SVG: true classes down, predicted ones across, colour by the share of the row. */
export function confusionChart(evaluation: {
  readonly confusion: Evaluation["confusion"];
  readonly perClass: readonly { readonly label: string }[];
}): string {
  const { confusion, perClass } = evaluation;
  const count = perClass.length;
  const labels = perClass.map(({ label }) => label);
  const side = Math.max(10, Math.min(56, Math.floor(1040 / Math.max(count, 1))));
  const fontSize = Math.max(7, Math.min(12, side - 2));
  const longest = Math.max(...labels.map(displayWidth), 1);
  const labelWidth = Math.min(190, Math.ceil(longest * fontSize * 0.62) + 14);
  const [left, top, right, bottom] = [labelWidth + 28, labelWidth + 34, 24, 12];
  const axis = (name: string) => ({
    type: "category" as const,
    data: labels,
    name,
    nameLocation: "middle" as const,
    nameGap: labelWidth + 8,
    nameTextStyle: { color: chartColors.text, fontWeight: "bold" as const },
    axisLine: { show: false },
    axisTick: { show: false },
    splitLine: {
      show: true,
      interval: 0,
      lineStyle: { color: chartColors.grid, width: side > 14 ? 1 : 0.4 },
    },
    axisLabel: {
      color: chartColors.muted,
      fontSize,
      interval: 0,
      width: labelWidth,
      overflow: "truncate" as const,
    },
  });
  const option: ChartOption = {
    grid: { left, top, width: side * count, height: side * count },
    xAxis: { ...axis("predicted"), position: "top", axisLabel: { ...axis("").axisLabel, rotate: 90 } },
    yAxis: { ...axis("true"), inverse: true },
    series: [true, false].map((right) => ({
      type: "heatmap" as const,
      data: heatCells({ confusion, right, side }),
      emphasis: { disabled: true },
      itemStyle: { borderWidth: 0 },
    })),
    // One for each series; it uses the third number of a cell, the root of its share.
    visualMap: (["31,127,212", "212,64,44"] as const).map((tone, seriesIndex) => ({
      show: false,
      min: 0,
      max: 1,
      dimension: 2,
      seriesIndex,
      inRange: { color: [`rgba(${tone},${faintest})`, `rgba(${tone},1)`] },
    })),
  };
  return renderChart({
    name: "confusion",
    option,
    width: left + side * count + right,
    height: top + side * count + bottom,
    label: "Confusion matrix: true classes down, predicted classes across",
  });
}

/** Opacity of a cell whose share is next to nothing. */
const faintest = 0.12;

interface HeatCellsInputs {
  readonly confusion: Evaluation["confusion"];
  /** The diagonal, or all the rest. */
  readonly right: boolean;
  /** Pixels. */
  readonly side: number;
}

/** The cells that are not zero; the root of the share keeps rare mistakes visible. */
function heatCells({ confusion, right, side }: HeatCellsInputs) {
  return confusion.flatMap((counts, i) => {
    const support = counts.reduce((sum, count) => sum + count, 0);
    return counts.flatMap((count, j) => {
      if (count === 0 || (i === j) !== right) return [];
      const strength = Math.sqrt(count / support);
      const label = {
        show: counts.length <= mostClassesWithCounts,
        color: strength > 0.5 ? "#fff" : chartColors.text,
        fontSize: Math.max(7, Math.min(13, Math.floor(side / 2.6))),
        formatter: String(count),
      };
      return [{ value: [j, i, strength], label }];
    });
  });
}

/** Characters of East Asian scripts are twice as wide. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += (character.codePointAt(0) ?? 0) >= 0x1100 ? 1.7 : 1;
  return width;
}
