import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import type { TrommelError } from "@trommel/common";
import { parseClassList, readClassList } from "#coordinator/labels/read-class-list";
import { temporaryFolder } from "../../../support/files/temp-folder.js";

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "utf8");
const parse = (text: string): string[] => parseClassList(bytesOf(text), "classes.txt");
const folder = await temporaryFolder("class-list");

describe("a class list", () => {
  it("gives names in the order of their indices, whatever the order of the lines", () => {
    assert.deepEqual(parse("glass 1\nmetal 0\npaper 2\n"), ["metal", "glass", "paper"]);
    const many = Array.from({ length: 40 }, (_, index) => `class-${index} ${index}`);
    assert.deepEqual(
      parse([...many].reverse().join("\n")),
      many.map((_, index) => `class-${index}`),
    );
  });

  it("takes a byte order mark, CRLF, blank lines, tabs, and names with blanks, digits and any script", () => {
    const text = "\ufeff\r\n可回收物/易拉罐\t1\r\n\r\n  plastic bag 7   0\r\n😀 Ä 9 2";
    assert.deepEqual(parse(text), ["plastic bag 7", "可回收物/易拉罐", "😀 Ä 9"]);
  });

  it("takes the challenge's JSON object of names by index", () => {
    const json = JSON.stringify({ "1": "其他垃圾/污损塑料", "0": "其他垃圾/一次性快餐盒" }, null, 4);
    assert.deepEqual(parse(json), ["其他垃圾/一次性快餐盒", "其他垃圾/污损塑料"]);
  });

  it("is read from a path and from a file: location", async () => {
    const file = join(folder, "my classes.txt");
    await writeFile(file, "a 0\nb 1\n");
    assert.deepEqual(await readClassList(file), ["a", "b"]);
    assert.deepEqual(await readClassList(pathToFileURL(file).href), ["a", "b"]);
    await assert.rejects(readClassList(join(folder, "absent.txt")), {
      code: "not-found",
      message: /absent\.txt/,
    });
  });

  it("is refused naming the file, the line and the fault", () => {
    const refused = (text: string | Uint8Array, line: number, fault: RegExp): void => {
      const bytes = typeof text === "string" ? bytesOf(text) : text;
      assert.throws(
        () => parseClassList(bytes, "classes.txt"),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "invalid-argument");
          assert.match(error.message, new RegExp(`classes\\.txt, line ${line}: `));
          assert.match(error.message, fault);
          return true;
        },
      );
    };
    refused("a 0\nb 1\nc 3\n", 3, /index 3 comes after a gap: no class has index 2/);
    refused("a 1\nb 2\n", 1, /no class has index 0/);
    refused("a 0\n\nb 0\n", 3, /index 0 already occurs on line 1/);
    refused("a 0\nb 1\na 2\n", 3, /"a" already occurs on line 1/);
    refused("a 0\nb one\n", 2, /"one" is not an index/);
    refused("a 0\nb -1\n", 2, /"-1" is not an index/);
    refused("a 0\nb 1.0\n", 2, /"1\.0" is not an index/);
    refused("a 0\nb\n", 2, /"b" is not a name, white space and an index/);
    refused("a 0\n7\n", 2, /"7" is not a name/);
    refused("a 0\n", 1, /1 classes/);
    refused("", 1, /0 classes/);
    refused(`a 0\n${"x".repeat(2000)} 1\n`, 2, /2000 characters/);
    refused(Buffer.from([...bytesOf("a 0\nb 1\n"), 0xc3, 0x28]), 3, /not UTF-8/);
    refused('{"0": "a", "1": ', 1, /JSON/);
    refused('{\n"0": "a",\n"1": 5\n}', 3, /"1" is not a name/);
    refused('{\n"0": "a",\n"2": "b"\n}', 3, /no class has index 1/);
    refused('{\n"0": "a",\n"1": "b",\n"0": "c"\n}', 4, /index 0 already occurs on line 2/);
    refused('{\n"0": "a",\n"x": "b"\n}', 3, /"x" is not an index/);
  });

  it("tells all faults: the first twenty by their lines, and the count", () => {
    const faultsOf = (text: string): readonly string[] => {
      try {
        parse(text);
      } catch (thrown) {
        const { message, code, context } = thrown as TrommelError;
        const [head = "", ...lines] = message.split("\n");
        assert.equal(code, "invalid-argument");
        assert.match(
          head,
          /^cannot read the class list classes\.txt: it has \d+ faults\. Write one 'name index'/,
        );
        assert.ok(head.includes(`it has ${String(context["faults"])} faults`));
        return lines.map((line) => line.trim());
      }
      return assert.fail("it was read");
    };
    assert.deepEqual(faultsOf("a 0\nb one\na 2\n\nc 0\nd\n"), [
      'line 2: "one" is not an index from 0',
      'line 3: class "a" already occurs on line 1',
      "line 5: index 0 already occurs on line 1",
      'line 6: "d" is not a name, white space and an index',
    ]);
    assert.deepEqual(faultsOf("a 9\nb 0\nc 3\nd 4\n"), [
      "line 1: index 9 comes after a gap: no class has index 5",
      "line 3: index 3 comes after a gap: no class has index 1",
    ]);
    assert.deepEqual(faultsOf('{\n"0": "a",\n"1": 5,\n"x": "b",\n"0": "c"\n}'), [
      'line 3: the class of "1" is not a name',
      'line 4: "x" is not an index from 0',
      "line 5: index 0 already occurs on line 2",
    ]);
    const many = faultsOf(Array.from({ length: 45 }, (_, i) => `class-${i}`).join("\n"));
    assert.equal(many.length, 21);
    assert.equal(many.at(-1), "and 25 more");
  });
});
