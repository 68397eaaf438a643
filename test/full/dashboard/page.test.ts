import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ReleaseStack } from "@trommel/common";
import type { Browser, Page } from "playwright-core";
import { temporaryFolder } from "../../support/files/temp-folder.js";
import { badFiles, drawDataset, writeFiles } from "../../support/images/dataset.js";
import { tinyBackbone, writeTinyBackbone } from "../../support/models/tiny-backbone.js";
import { axeFindings, findChromium, openBrowser } from "../../support/process/browser.js";
import { RunningCli, trommel } from "../../support/process/cli.js";
import { waitUntil } from "../../support/process/wait-until.js";
import { testToken } from "../../support/servers/dashboard.js";
import { startRedisServer, type TestRedis } from "../../support/servers/redis-server.js";

/** The page in a real browser, on a cluster of three processes. With TROMMEL_SCREENSHOTS it makes the pictures of the docs. */

const hostile = '<img src=x onerror="globalThis.hostile=1">';
const labels = ["glass", hostile, "paper"];
const chromium = findChromium();
const skip = chromium === undefined ? "no Chromium on this machine" : false;
const folder = await temporaryFolder("dashboard-page");
const screenshots = process.env["TROMMEL_SCREENSHOTS"] === undefined ? undefined : docsImages();
const releases = new ReleaseStack();
const slowly = { timeout: 30_000 };
let env: Record<string, string>;
let redis: TestRedis;
let browser: Browser;
let page: Page;
let url = "";

function docsImages(): string {
  return fileURLToPath(new URL("../../../../docs/images/", import.meta.url));
}

async function shoot(name: string): Promise<void> {
  if (screenshots === undefined) return;
  await mkdir(screenshots, { recursive: true });
  await page.screenshot({ path: join(screenshots, `dashboard-${name}.png`) });
}

async function open(hash: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
}

async function expectNoFindings(what: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await axeFindings(page), [], `${what}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

before(async () => {
  if (chromium === undefined) return;
  await writeFiles(join(folder, "photos"), await drawDataset(labels, { to: 40 }));
  const bad = [...(await badFiles())].map(([name, { bytes }]) => [`glass/${name}`, bytes] as const);
  await writeFiles(join(folder, "photos"), new Map(bad));
  await writeTinyBackbone(join(folder, "tiny"));
  redis = await startRedisServer();
  env = { TROMMEL_STORE: join(folder, "store"), TROMMEL_REDIS_URL: redis.url(), TROMMEL_TOKEN: testToken };
  const imported = await trommel(
    ["backbone", "import", join(folder, "tiny/model.json"), "--name", tinyBackbone.name],
    { env },
  );
  assert.equal(imported.code, 0, imported.stderr);
  const start = async (args: string[], words: string): Promise<RunningCli> => {
    const command = new RunningCli(args, { env });
    releases.add(args[0] ?? "", () => command.stop());
    await command.says(words, 60_000);
    return command;
  };
  await start(["coordinator"], "redis");
  await start(["worker", "--threads", "1"], "extract");
  const served = await start(["dashboard", "--listen", "127.0.0.1:0", "--root", folder], "dashboard: ");
  [url = ""] = /http:\/\/\S+(?=;)/.exec(served.stdout) ?? [];
  browser = await openBrowser(chromium);
  page = await browser.newPage({ viewport: { width: 1100, height: 760 } });
  page.setDefaultTimeout(slowly.timeout);
});

after(async () => {
  if (chromium === undefined) return;
  await browser.close();
  await releases.releaseAll();
  await redis.stop();
});

describe("the dashboard's page", { skip, timeout: 600_000 }, () => {
  const requests = new Set<string>();
  const complaints: string[] = [];

  it("opens on a cluster without runs, and asks nobody but its own server", async () => {
    page.on("request", (request) => requests.add(new URL(request.url()).origin));
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    await page.getByText("No run yet.").waitFor();
    await expectNoFindings("no run");
  });

  it("refuses an action without the token, in the server's words, and takes it after the log-in", async () => {
    await open("#/start");
    const form = page.locator("form", { hasText: "Training" });
    await form.getByLabel("Labelled images").fill(join(folder, "photos"));
    await form.getByRole("option").first().waitFor({ state: "attached" });
    await form.getByRole("button", { name: "Train" }).click();
    await page.getByText("the request has no token").waitFor();
    await page.getByLabel("Token").fill("wrong-token-wrong-token");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("cannot log in: the token is not this server's").waitFor();
    await page.getByLabel("Token").fill(testToken);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("button", { name: "Log out" }).waitFor();
    await expectNoFindings("the form");
  });

  it("shows a run from its start to its end", async () => {
    // What the form sends, with a recipe small enough for a test.
    const status = await page.evaluate(
      async ([source, backbone]) => {
        const recipe = { backbones: [backbone], views: { count: 4 }, shardSize: 8 };
        const response = await fetch("/api/v1/trainings", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ source, recipe, id: "first" }),
        });
        return `${response.status} ${await response.text()}`;
      },
      [join(folder, "photos"), tinyBackbone.name] as const,
    );
    assert.match(status, /^202 /);
    await open("#/");
    await page.getByRole("link", { name: "first" }).waitFor();
    await page.locator(".phase.running").first().waitFor();
    await page.getByRole("progressbar").first().waitFor();
    await shoot("runs");
    await page.getByRole("link", { name: "first" }).click();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("h1 .phase.paused").waitFor();
    await page.getByRole("button", { name: "Continue" }).click();
    await page.locator("h1 .phase.complete").waitFor({ timeout: 180_000 });
    await page.getByText("Report").waitFor();
    await expectNoFindings("a run");
  });

  it("shows failed images by their reason, and a frame for what is no picture", async () => {
    const section = page.locator("section", { has: page.getByRole("heading", { name: "Failed images" }) });
    await section.getByRole("button", { name: /^all 5$/ }).waitFor();
    await section.getByRole("button", { name: /^not-an-image/ }).click();
    await section.locator("li", { hasText: "not-an-image" }).getByText("no picture").waitFor();
    await section.locator("li").nth(1).waitFor({ state: "detached" });
    const reasons = await section.locator("li span:nth-child(3)").allTextContents();
    assert.deepEqual(new Set(reasons), new Set(["not-an-image"]));
  });

  it("shows a label with markup as text", async () => {
    await page.getByRole("columnheader", { name: hostile }).waitFor();
    assert.equal(await page.evaluate("globalThis.hostile"), undefined);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
    await page.getByRole("heading", { name: "Confusion" }).scrollIntoViewIfNeeded();
    await shoot("confusion");
  });

  it("opens all images of a cell of the confusion matrix, a page at a time", async () => {
    const figures = await page.evaluate<{
      readonly labels: readonly string[];
      readonly outOfFold: { readonly confusion: readonly (readonly number[])[] };
      readonly mistakes: readonly { readonly label: string; readonly predicted: string }[];
    }>("fetch('/api/v1/runs/first/metrics').then((answer) => answer.json())");
    const cells = figures.outOfFold.confusion.flatMap((row, i) =>
      row.map((images, j) => ({
        images,
        label: figures.labels[i] ?? "",
        predicted: figures.labels[j] ?? "",
      })),
    );
    const [cell] = cells.sort((a, b) => b.images - a.images);
    assert.ok(cell !== undefined && cell.images > 24, "one cell has more than a page");
    const { images, label, predicted } = cell;
    const recorded = figures.mistakes.filter((one) => one.label === label && one.predicted === predicted);
    assert.ok(images > recorded.length);
    const section = page.locator("section", { has: page.getByRole("heading", { name: "Confusion" }) });
    const what = label === predicted ? `${label} predicted as such` : `${label} taken for ${predicted}`;
    await section.getByRole("button", { name: `${images} ${what}`, exact: true }).click();
    await section.getByText(`1 to 24 of ${images} images`).waitFor();
    const keysOf = (): Promise<string[]> => section.locator("li .key").allTextContents();
    const first = await keysOf();
    for (const picture of await section.locator("li img").all()) await picture.scrollIntoViewIfNeeded();
    const isSeen = "[...document.querySelectorAll('li img')].every(({ naturalWidth }) => naturalWidth > 0)";
    await waitUntil("all pictures are there", () => page.evaluate<boolean>(isSeen));
    assert.equal(await section.locator("li img").count(), 24);
    await expectNoFindings("a cell");
    await shoot("cell");
    await section.getByRole("button", { name: "Next" }).click();
    await section.getByText(`25 to ${Math.min(48, images)} of ${images} images`).waitFor();
    const second = await keysOf();
    assert.equal(second.length, Math.min(24, images - 24));
    assert.equal(new Set([...first, ...second]).size, 24 + second.length);
    await section.getByRole("button", { name: "Previous" }).click();
    await section.getByText(`1 to 24 of ${images} images`).waitFor();
    assert.deepEqual(await keysOf(), first);
    await section.getByRole("button", { name: `${images} ${what}`, exact: true }).click();
    await section.getByText("worst mistakes", { exact: false }).last().waitFor();
  });

  it("tries a model on a picture", async () => {
    await open("#/try");
    const [file] = await drawDataset(labels, { to: 1 }, 7);
    await page.getByLabel(/Drop pictures/).setInputFiles({
      name: "new.png",
      mimeType: "image/png",
      buffer: file?.[1] ?? Buffer.alloc(0),
    });
    await page.locator(".pictures li").getByText("%").first().waitFor();
    await expectNoFindings("a tried model");
    await shoot("try");
  });

  it("says that Redis is lost and that it answers again, and shows who serves", async () => {
    await open("#/cluster");
    await page.getByText("Redis answers.").waitFor();
    await page.getByRole("rowheader", { name: "extract" }).waitFor();
    await expectNoFindings("the cluster");
    await shoot("cluster");
    const { port } = redis;
    await redis.stop();
    await page.locator(".fault", { hasText: "Redis does not answer" }).waitFor();
    redis = await startRedisServer({ port });
    await page.locator(".fault").waitFor({ state: "detached" });
    await open("#/");
    await page.getByRole("link", { name: "first" }).waitFor();
  });

  it("says what the store holds", async () => {
    await open("#/store");
    await page.getByRole("rowheader", { name: "features" }).waitFor();
    await expectNoFindings("the store");
  });

  it("is used by keyboard, and on a phone without scrolling sideways", async () => {
    await page.reload();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("document.activeElement.textContent"), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate("document.activeElement.tagName"), "MAIN");
    await page.setViewportSize({ width: 360, height: 740 });
    for (const hash of ["#/", "#/run/first", "#/cluster", "#/try", "#/start", "#/store"]) {
      await open(hash);
      await page.locator("h1").waitFor();
      const wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      assert.ok(Number(wide) <= 0, `${hash} is ${String(wide)} pixels too wide`);
    }
    await open("#/run/first");
    await page.locator("h1 .phase.complete").waitFor();
    await shoot("phone");
  });

  it("has asked nobody but its own server", () => {
    assert.deepEqual([...requests], [new URL(url).origin]);
    const unexpected = complaints.filter((text) => !/Failed to load resource/.test(text));
    assert.deepEqual(unexpected, []);
  });
});
