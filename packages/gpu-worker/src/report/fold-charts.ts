import type { Choice, MeasuredFigures } from "@trommel/common/artefacts";
import { chartColors, renderChart } from "./chart.js";

const axis = {
  axisLine: { show: false },
  axisTick: { show: false },
  splitLine: { lineStyle: { color: chartColors.grid } },
};
const label = { color: chartColors.muted };

function valueAxis(name: string, gap: number) {
  return {
    ...axis,
    type: "value" as const,
    name,
    nameLocation: "middle" as const,
    nameGap: gap,
    nameTextStyle: label,
    axisLabel: label,
  };
}

/** How often a stated probability is right: bins of equal mass, and the dashed line on which both agree. */
export function reliabilityChart({ reliability }: Pick<MeasuredFigures, "reliability">): string {
  const points = reliability.map(({ confidence, accuracy }) => [confidence, accuracy]);
  return renderChart({
    name: "reliability",
    width: 460,
    height: 380,
    label: `Stated probability against the share that is right, ${points.length} bins`,
    option: {
      grid: { left: 60, right: 20, top: 20, bottom: 50 },
      xAxis: { ...valueAxis("stated probability", 30), min: 0, max: 1 },
      yAxis: { ...valueAxis("share that is right", 40), min: 0, max: 1 },
      series: [
        {
          type: "line",
          data: [
            [0, 0],
            [1, 1],
          ],
          symbol: "none",
          lineStyle: { color: chartColors.muted, type: "dashed", width: 1 },
        },
        {
          type: "line",
          data: points,
          symbolSize: 7,
          itemStyle: { color: chartColors.validation },
          lineStyle: { color: chartColors.validation, width: 2 },
        },
      ],
    },
  });
}

/** The recall of every class with its interval, the lowest first, for those with images. */
export function recallChart({ perClass }: Pick<MeasuredFigures, "perClass">): string {
  const classes = perClass.flatMap(({ label: name, recall }) => (recall === null ? [] : [{ name, recall }]));
  classes.sort((a, b) => b.recall.value - a.recall.value);
  const shown = classes.slice(-mostClassesShown);
  return renderChart({
    name: "recall",
    width: 620,
    height: 60 + 26 * shown.length,
    label: `Recall of ${shown.length} classes with 95 % intervals`,
    option: {
      grid: { left: 150, right: 20, top: 10, bottom: 44 },
      xAxis: { ...valueAxis("recall, with its 95 % interval", 28), min: 0, max: 1 },
      yAxis: {
        ...axis,
        type: "category",
        data: shown.map(({ name }) => name),
        axisLabel: { ...label, width: 130, overflow: "truncate", interval: 0 },
      },
      series: [
        {
          type: "bar",
          data: shown.map(({ recall }) => recall.value),
          barWidth: 12,
          itemStyle: { color: chartColors.validation, opacity: 0.75 },
        },
        ...shown.map(({ recall }, at) => ({
          type: "line" as const,
          data: [
            [recall.low, at],
            [recall.high, at],
          ],
          symbol: "rect",
          symbolSize: [2, 10],
          itemStyle: { color: chartColors.rate },
          lineStyle: { color: chartColors.rate, width: 2 },
        })),
      ],
    },
  });
}

const mostClassesShown = 40;

/** Accuracy by the number of images trained on. */
export function learningCurveChart({ points }: NonNullable<Choice["learningCurve"]>): string {
  return renderChart({
    name: "curve",
    width: 460,
    height: 300,
    label: `Accuracy with ${points.map(({ images }) => images).join(", ")} training images`,
    option: {
      grid: { left: 60, right: 30, top: 20, bottom: 50 },
      xAxis: { ...valueAxis("images trained on", 30), min: 0 },
      yAxis: { ...valueAxis("accuracy", 44), scale: true },
      series: [
        {
          type: "line",
          data: points.map(({ images, accuracy }) => [images, accuracy]),
          symbolSize: 7,
          itemStyle: { color: chartColors.validation },
          lineStyle: { color: chartColors.validation, width: 2 },
        },
      ],
    },
  });
}
