import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCsv } from "../../../../support/files/csv.js";
import type { Acceptance } from "@trommel/common/artefacts";
import {
  csvPart,
  jsonLinesPart,
  resultPart,
  scoreRowOf,
} from "#gpu-worker/stages/scoring/formats/score-rows";

const labels = ["glass", "metal", "paper", "trash"];
const any: Acceptance = { novelty: null, probability: null };
const rowOf = (probabilities: readonly number[], topK = 4) => named("a/1.jpg", probabilities, labels, topK);

function named(key: string, probabilities: readonly number[], names: readonly string[], topK: number) {
  const image = { probabilities: Float32Array.from(probabilities), novelty: null };
  return scoreRowOf(key, image, names, { topK, accepts: any });
}

/** A row of an image with a novelty, by what is accepted. */
function judged(probabilities: readonly number[], novelty: number, accepts: Partial<Acceptance>) {
  const image = { probabilities: Float32Array.from(probabilities), novelty };
  return scoreRowOf("a.jpg", image, labels, { topK: 2, accepts: { ...any, ...accepts } });
}

const columns = (topK: number, more = false, spreadsheetSafe = false) => ({
  ...{ topK, novelty: more, likeliest: more },
  spreadsheetSafe,
});

describe("score rows", () => {
  it("have the likeliest label first, and the earlier label on a tie", () => {
    const { label, probability, top } = rowOf([0.25, 0.5, 0.125, 0.125]);
    assert.deepEqual([label, probability], ["metal", 0.5]);
    assert.deepEqual(
      top.map((place) => place.label),
      ["metal", "glass", "paper", "trash"],
    );
    assert.deepEqual(
      rowOf([0.25, 0.25, 0.25, 0.25]).top.map((place) => place.label),
      labels,
    );
  });

  it("have as many labels as were asked for", () => {
    assert.deepEqual(rowOf([0.1, 0.2, 0.3, 0.4], 1).top.length, 1);
    assert.deepEqual(
      rowOf([0.1, 0.2, 0.3, 0.4], 2).top.map((place) => place.label),
      ["trash", "paper"],
    );
  });

  it("carry the seven digits of a float32, whatever its size", () => {
    const { top } = rowOf([0.1, 1 / 3, 1.23456789e-9, 1]);
    assert.deepEqual(
      top.map(({ probability }) => probability),
      [1, 0.3333333, 0.1, 1.234568e-9],
    );
  });

  it("are one line each as JSON, with every name as it is", () => {
    const row = named('in/"Äpfel"\n中.jpg', [0.75, 0.25], ["Ä", "b"], 1);
    const text = Buffer.from(jsonLinesPart([row, row])).toString("utf8");
    const lines = text.split("\n");
    assert.equal(lines.length, 3);
    assert.equal(lines[2], "");
    assert.deepEqual(JSON.parse(lines[0] ?? ""), row);
    assert.ok(text.includes("中"));
  });

  it("are quoted where CSV needs it, with a header even for nothing", () => {
    const row = named('a,"b"\n.jpg', [0.75, 0.25], ["x,y", "z"], 2);
    assert.equal(
      Buffer.from(csvPart([row], columns(2))).toString("utf8"),
      'key,label,probability,label_2,probability_2\n"a,""b""\n.jpg","x,y",0.75,z,0.25\n',
    );
    assert.equal(Buffer.from(csvPart([], columns(1))).toString("utf8"), "key,label,probability\n");
  });

  it("are quoted around a lone carriage return, which some readers take for the end of a record", () => {
    const row = named("a\rb.jpg", [1, 0], ["x", "y"], 1);
    assert.equal(
      Buffer.from(csvPart([row], columns(1))).toString("utf8"),
      'key,label,probability\n"a\rb.jpg",x,1\n',
    );
  });

  it("are a line of result and key, not escaped", () => {
    const names = ["可回收物/易拉罐", '其他垃圾/"烟蒂"'];
    const rows = [
      named("img_1.jpg", [0.75, 0.25], names, 2),
      named("目录/img_2.jpg", [0.25, 0.75], names, 1),
    ];
    assert.equal(
      Buffer.from(resultPart(rows)).toString("utf8"),
      '{"result":"可回收物/易拉罐","key":"img_1.jpg"}\n{"result":"其他垃圾/\\"烟蒂\\"","key":"目录/img_2.jpg"}\n',
    );
    assert.equal(resultPart([]).length, 0);
  });

  it("are unknown above a novelty, and keep their likeliest labels", () => {
    const probabilities = [0.125, 0.75, 0.125, 0];
    assert.equal(
      judged(probabilities, 0.99, { novelty: 0.99 }).label,
      "metal",
      "the bound itself is accepted",
    );
    assert.deepEqual(judged(probabilities, 0.991, { novelty: 0.99 }), {
      key: "a.jpg",
      label: "unknown",
      probability: 0.75,
      top: [
        { label: "metal", probability: 0.75 },
        { label: "glass", probability: 0.125 },
      ],
      novelty: 0.991,
    });
  });

  it("have in CSV no text that a spreadsheet computes, if that is asked for, and each text can be told", () => {
    const keys = ["=1+1.jpg", "+a", "-a", "@a", "\ta", "'a", "＝a", "a=1", "-1"];
    const rows = keys.map((key) => named(key, [0.75, 0.25], ["=cmd|' /C calc'!A0", "b"], 1));
    const texts = (safe: boolean): string[] =>
      parseCsv(Buffer.from(csvPart(rows, columns(1, false, safe))).toString("utf8"))
        .slice(1)
        .flatMap(([key = "", label = ""]) => [key, label]);
    const safe = texts(true);
    assert.deepEqual(
      safe.filter((text) => /^[=+\-@\t\r\n＝＋－＠]/.test(text)),
      [],
    );
    assert.deepEqual(
      safe.map((text) => (text.startsWith("'") ? text.slice(1) : text)),
      texts(false),
    );
    assert.ok(safe.includes("a=1"));
  });

  it("are unknown below the least probability of their likeliest label, and if that has none", () => {
    const least = [0.9, 0.5, null, 0.5];
    assert.equal(judged([0.25, 0.75, 0, 0], 0, { probability: least }).label, "metal");
    assert.equal(judged([0.25, 0.5, 0.25, 0], 0, { probability: least }).label, "metal");
    assert.equal(judged([0.75, 0.25, 0, 0], 0, { probability: least }).label, "unknown");
    assert.equal(judged([0, 0, 1, 0], 0, { probability: least }).label, "unknown");
  });

  it("have their novelty in every format that has room for it", () => {
    const row = judged([0.25, 0.75, 0, 0], 0.5, { probability: [1, 1, 1, 1] });
    assert.equal(
      Buffer.from(csvPart([row], columns(2, true))).toString("utf8"),
      "key,label,probability,label_2,probability_2,novelty,likeliest\na.jpg,unknown,0.75,glass,0.25,0.5,metal\n",
    );
    assert.equal(
      Buffer.from(resultPart([row])).toString("utf8"),
      '{"result":"unknown","key":"a.jpg","novelty":0.5}\n',
    );
  });
});
