import type { Metrics } from "@trommel/common";
import { chartColors, renderChart, renderChartPng, type ChartOption } from "./chart.js";

/** What the curves are drawn from. */
export type TrainingCurves = Pick<Metrics, "history" | "bestEpoch" | "training">;

const size = { width: 920, height: 620 };

/** Loss, accuracy and learning rate over the epochs, one above the other, as SVG; the kept epoch is marked. */
export function trainingChart(curves: TrainingCurves): string {
  return renderChart({
    name: "training",
    option: chartOption(curves),
    ...size,
    label: "Loss, accuracy and learning rate by epoch",
  });
}

/** The same as a PNG of 1840 × 1240 pixels on white. */
export async function trainingChartPng(curves: TrainingCurves): Promise<Uint8Array> {
  return renderChartPng({ name: "training", option: chartOption(curves), ...size });
}

function chartOption({ history, bestEpoch, training: { schedule } }: TrainingCurves): ChartOption {
  // A plateau schedule divides the rate repeatedly, which a linear axis would flatten; the others end near zero.
  const byFactors = schedule.type === "plateau";
  const epochs = history.map(({ epoch }) => String(epoch));
  const panels = [
    { name: "Loss", top: 52, height: 190 },
    { name: "Accuracy", top: 286, height: 150 },
    { name: "Learning rate", top: 480, height: 84 },
  ];
  const line = (name: string, panel: number, color: string, values: readonly number[]) => ({
    name,
    type: "line" as const,
    xAxisIndex: panel,
    yAxisIndex: panel,
    data: [...values],
    color,
    showSymbol: history.length === 1,
    lineStyle: { width: 2, color },
    ...(panel === 2 && byFactors ? { step: "end" as const } : {}),
  });
  const kept = {
    symbol: "none",
    silent: true,
    animation: false,
    lineStyle: { color: chartColors.muted, type: "dashed" as const, width: 1 },
    label: { show: false },
    data: [{ xAxis: bestEpoch - 1 }],
  };
  const { training, validation, rate, text, muted, grid } = chartColors;
  const series = [
    line(
      "Training",
      0,
      training,
      history.map(({ trainLoss }) => trainLoss),
    ),
    {
      ...line(
        "Validation",
        0,
        validation,
        history.map(({ validationLoss }) => validationLoss),
      ),
      markLine: kept,
    },
    line(
      "Training",
      1,
      training,
      history.map(({ trainAccuracy }) => trainAccuracy),
    ),
    {
      ...line(
        "Validation",
        1,
        validation,
        history.map(({ validationAccuracy }) => validationAccuracy),
      ),
      markLine: kept,
    },
    {
      ...line(
        "Learning rate",
        2,
        rate,
        history.map(({ learningRate }) => learningRate),
      ),
      markLine: kept,
    },
  ];
  return {
    legend: {
      top: 8,
      right: 24,
      icon: "roundRect",
      itemWidth: 18,
      itemHeight: 4,
      itemGap: 20,
      textStyle: { color: text },
      data: ["Training", "Validation", "Learning rate"],
    },
    grid: panels.map((panel) => ({ left: 76, right: 24, top: panel.top, height: panel.height })),
    xAxis: panels.map((_, index) => ({
      type: "category" as const,
      gridIndex: index,
      data: epochs,
      boundaryGap: history.length === 1,
      axisLine: { lineStyle: { color: muted } },
      axisTick: { show: false },
      axisLabel: { show: index === 2, color: muted },
      ...(index === 2
        ? { name: "epoch", nameLocation: "middle" as const, nameGap: 26, nameTextStyle: { color: muted } }
        : {}),
    })),
    yAxis: panels.map(({ name }, index) => ({
      type: index === 2 && byFactors ? ("log" as const) : ("value" as const),
      gridIndex: index,
      name,
      nameLocation: "end" as const,
      nameTextStyle: { color: text, align: "left" as const, fontWeight: "bold" as const },
      scale: true,
      splitNumber: index === 2 ? 2 : 4,
      axisLabel: {
        color: muted,
        ...(index === 2
          ? { formatter: (value: number) => (byFactors ? value.toExponential(0) : rateText(value)) }
          : {}),
      },
      splitLine: { lineStyle: { color: grid } },
    })),
    series,
  };
}

/** Ticks of a linear axis lie between the powers of ten; without the noise of their last digits. */
function rateText(rate: number): string {
  return String(Number(rate.toPrecision(3)));
}
