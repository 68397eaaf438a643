import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import { parseArguments } from "../../bench/bench-arguments.js";
import { comparisonRow } from "../../bench/compare/comparison-row.js";
import { areaUnderCurve } from "../../bench/measure/area-under-curve.js";
import { SyntheticSource } from "../../bench/synthetic/synthetic-source.js";
import { formatTable } from "../../bench/table.js";
import { TimerDevice } from "../../bench/synthetic/timer-device.js";

describe("a row of a benchmark", () => {
  it("takes the ratio turn by turn, and judges its median", () => {
    const turns = { what: "rate", own: [10, 40, 30], anchor: [10, 20, 10] };
    const row = comparisonRow({ ...turns, atLeast: 2 });
    assert.equal(row.value, "30.0 (10.0–40.0)");
    assert.equal(row.ratio, "2.000 (1.000–3.000)");
    assert.deepEqual([row.target, row.reached], ["≥ 2", true]);
    assert.equal(comparisonRow({ ...turns, atLeast: 2.001 }).reached, false);
    assert.deepEqual(comparisonRow({ ...turns, ratio: "anchor/own" }).repetitions?.ratio, [1, 0.5, 1 / 3]);
  });

  it("judges nothing without the anchor that it is to be beside", () => {
    const row = comparisonRow({ what: "rate", own: [1], anchor: { missing: "torch" }, atLeast: 3 });
    assert.equal(row.anchor, "not installed: torch");
    assert.equal(row.reached, undefined);
    assert.equal(comparisonRow({ what: "size", own: [5], atMost: 4 }).reached, false);
  });

  it("is a line of a Markdown table, without the bench's name", () => {
    const table = formatTable([{ bench: "queue", what: "queue: a|b", value: "1", reached: false }]);
    const cells = table.split("\n").map((line) => line.replaceAll(/ +/g, " "));
    assert.equal(cells[2], "| queue | a\\|b | 1 | | | | NO |");
    assert.equal(new Set(table.split("\n").map(({ length }) => length)).size, 1);
  });
});

describe("the area under the curve", () => {
  it("is that of scikit-learn's example, with ties counted as half", () => {
    assert.equal(areaUnderCurve([0.1, 0.4], [0.35, 0.8]), 0.75);
    assert.equal(areaUnderCurve([1, 2, 3], [2, 4]), (1.5 + 3) / 6);
  });
});

describe("the arguments of the benchmarks", () => {
  const known = ["a", "b"];

  it("take a file after --json, but no bench's name for one", () => {
    const { gpu, ...rest } = parseArguments(["--json", "b", "--threads", "3"], known);
    const counts = { threads: 3, repetitions: 20, keys: 10_000_000, rows: 1_000_000 };
    assert.deepEqual(rest, { names: ["b"], ...counts, json: "stdout" });
    assert.equal(gpu.device, undefined);
    assert.deepEqual(parseArguments(["b", "--json", "out.json", "a"], known).json, { file: "out.json" });
    assert.deepEqual(parseArguments([], known).names, known);
  });

  it("say what a GPU is measured with", () => {
    const { gpu } = parseArguments(
      ["a", "--device", "cuda", "--images", "9", "--networks", "resnet50@64,xception@71"],
      known,
    );
    assert.deepEqual(gpu, { device: "cuda", images: 9, networks: ["resnet50@64", "xception@71"] });
  });

  it("are refused where no bench is called so", () => {
    assert.throws(() => parseArguments(["c"], known), TrommelError);
    assert.throws(() => parseArguments(["--threads", "0"], known), TrommelError);
    assert.throws(() => parseArguments(["--device", "tpu"], known), /cpu, webgpu, cuda/);
    assert.throws(() => parseArguments(["--images", "many"], known), /--images many is no number of images/);
    assert.throws(
      () => parseArguments(["--networks", "resnet51@64"], known),
      /no such architecture.*resnet50/,
    );
    assert.throws(() => parseArguments(["--networks", "resnet50"], known), /'resnet50' has no side/);
    assert.throws(
      () => parseArguments(["--help"], known),
      /Give names \(a, b\) or none for all, --threads N/,
    );
  });
});

describe("the synthetic source", () => {
  it("lists so many keys in order, and on from any of them", async () => {
    const source = new SyntheticSource({ keys: 2500, classes: 3 });
    const keys: string[] = [];
    for await (const { key } of source.list("")) keys.push(key);
    assert.equal(new Set(keys).size, 2500);
    assert.deepEqual(keys, [...keys].sort());
    assert.equal(new Set(keys.map((key) => key.split("/")[0])).size, 3);
    const rest: string[] = [];
    for await (const { key } of source.list("", { startAfter: keys[1998] ?? "" })) rest.push(key);
    assert.deepEqual(rest, keys.slice(1999));
    assert.equal((await source.head(keys[7] ?? ""))?.key, keys[7]);
    assert.equal(await source.head("class-00000/x.jpeg"), undefined);
  });
});

describe("the timer in a device's place", () => {
  it("takes batches one after another, and counts idle time as lost", async () => {
    const device = new TimerDevice(10_000, 4);
    const batch = {
      ...{ pixels: new Uint8Array(), affine: new Float32Array(), colour: new Float32Array() },
      imageCount: 200,
    };
    const start = performance.now();
    const [rows] = await Promise.all([device.extract("", batch), device.extract("", batch)]);
    const spentMs = performance.now() - start;
    assert.equal(rows.length, 800);
    // A timer of Node.js may be a millisecond early.
    assert.ok(spentMs >= 38, `two batches of 20 ms took ${spentMs} ms`);
    assert.ok(device.busyMs() > 38 && device.busyMs() <= 40, `it was busy for ${device.busyMs()} ms`);
  });
});
