import type { RoundFigures } from "@trommel/common/artefacts";
import { chartColors, renderChart } from "../chart.js";

/** The rounds of a run that tuned its backbone. */
export interface TunedRounds {
  readonly figures: readonly RoundFigures[];
  /** The round, from 0, whose checkpoint is the backbone. */
  readonly keptRound: number;
}

const panels = [
  { name: "Loss", top: 52, height: 180 },
  { name: "Accuracy", top: 276, height: 150 },
] as const;

/** Loss above accuracy, by round; the round that was kept is marked. */
export function tuningChart({ figures, keptRound }: TunedRounds): string {
  const { training, validation, text, muted, grid } = chartColors;
  const isHeldOut = figures.every(({ heldOut }) => heldOut !== null);
  const line = (name: string, panel: number, color: string, values: readonly number[]) => ({
    ...{ name, color, type: "line" as const, xAxisIndex: panel, yAxisIndex: panel, data: [...values] },
    showSymbol: figures.length === 1,
    lineStyle: { width: 2, color },
    markLine: {
      ...{ symbol: "none", silent: true, animation: false, label: { show: false } },
      lineStyle: { color: muted, type: "dashed" as const, width: 1 },
      data: [{ xAxis: keptRound }],
    },
  });
  const curve = (of: "loss" | "accuracy", panel: number) => [
    line(
      "Training",
      panel,
      training,
      figures.map((round) => round.training[of]),
    ),
    ...(isHeldOut
      ? [
          line(
            "Held out",
            panel,
            validation,
            figures.map(({ heldOut }) => heldOut?.[of] ?? Number.NaN),
          ),
        ]
      : []),
  ];
  return renderChart({
    name: "tuning",
    width: 920,
    height: 480,
    label: `Loss and accuracy of ${figures.length} rounds of tuning`,
    option: {
      legend: {
        ...{ top: 8, right: 24, icon: "roundRect", itemWidth: 18, itemHeight: 4, itemGap: 20 },
        textStyle: { color: text },
        data: isHeldOut ? ["Training", "Held out"] : ["Training"],
      },
      grid: panels.map(({ top, height }) => ({ left: 76, right: 24, top, height })),
      xAxis: panels.map((_, index) => ({
        ...{ type: "category" as const, gridIndex: index, boundaryGap: figures.length === 1 },
        data: figures.map(({ round }) => String(round + 1)),
        axisLine: { lineStyle: { color: muted } },
        axisTick: { show: false },
        axisLabel: { show: index === 1, color: muted },
        ...(index === 1
          ? { name: "round", nameLocation: "middle" as const, nameGap: 26, nameTextStyle: { color: muted } }
          : {}),
      })),
      yAxis: panels.map(({ name }, index) => ({
        ...{ type: "value" as const, gridIndex: index, name, nameLocation: "end" as const, scale: true },
        nameTextStyle: { color: text, align: "left" as const, fontWeight: "bold" as const },
        splitNumber: 4,
        axisLabel: { color: muted },
        splitLine: { lineStyle: { color: grid } },
      })),
      series: [...curve("loss", 0), ...curve("accuracy", 1)],
    },
  });
}
