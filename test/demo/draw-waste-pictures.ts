import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { seedFrom, SeededRandom } from "@trommel/common";
import sharp from "sharp";
import { drawBackground, palette } from "./cluttered-background.js";
import { wasteShapes, type DrawObject, type ObjectColours } from "./waste-shapes.js";

const size = { width: 320, height: 240 } as const;

/** The height of an object's own box, see {@link DrawObject}. */
const boxPx = 200;

export const wasteClasses = Object.keys(wasteShapes);

/** The palette's darkest colour draws the outline of every class; body and trim differ from it and from each other. */
function pickColours(random: SeededRandom): ObjectColours {
  const ink = palette[0];
  const others = random.shuffle(palette.slice(1));
  return { body: others[0] ?? ink, trim: others[1] ?? ink, ink };
}

function drawObject(draw: DrawObject, random: SeededRandom): string {
  const scale = random.uniform(0.82, 1.12);
  const margin = (boxPx * scale) / 2 - 8;
  const x = random.uniform(margin, size.width - margin).toFixed(1);
  const y = random.uniform(margin, size.height - margin).toFixed(1);
  const turn = random.uniform(-35, 35).toFixed(1);
  const mirror = random.unit() < 0.5 ? -1 : 1;
  const placed = `translate(${x} ${y}) rotate(${turn}) scale(${(mirror * scale).toFixed(3)} ${scale.toFixed(3)})`;
  return (
    `<ellipse cx="${x}" cy="${y}" rx="${(92 * scale).toFixed(1)}" ry="${(84 * scale).toFixed(1)}" fill="url(#shadow)"/>` +
    `<g transform="${placed}">${draw(pickColours(random), random)}</g>`
  );
}

const sharedDefinitions =
  `<defs><linearGradient id="round"><stop offset="0" stop-color="#000" stop-opacity="0.30"/>` +
  `<stop offset="0.3" stop-color="#fff" stop-opacity="0.35"/><stop offset="0.6" stop-color="#fff" stop-opacity="0"/>` +
  `<stop offset="1" stop-color="#000" stop-opacity="0.35"/></linearGradient>` +
  `<radialGradient id="shadow"><stop offset="0.4" stop-color="#000" stop-opacity="0.45"/>` +
  `<stop offset="1" stop-color="#000" stop-opacity="0"/></radialGradient></defs>`;

/** Film grain and a change of exposure: what a camera would add, the same on all three channels but for the grain. */
function exposeAndGrain(pixels: Buffer, random: SeededRandom): Buffer {
  const exposure = random.uniform(0.75, 1.15);
  const grain = random.uniform(4, 16);
  const exposed = Buffer.alloc(pixels.length);
  for (const [at, value] of pixels.entries()) {
    exposed[at] = Math.min(255, Math.max(0, Math.round(value * exposure + random.uniform(-grain, grain))));
  }
  return exposed;
}

/** One JPEG of 320 × 240 pixels with one object of the class on a cluttered ground. The seed decides every byte. */
export async function drawWastePicture(wasteClass: string, seed: number): Promise<Buffer> {
  const draw = wasteShapes[wasteClass];
  if (draw === undefined)
    throw new RangeError(`no shape is known for ${wasteClass}, only ${wasteClasses.join(", ")}`);
  const random = new SeededRandom(seed);
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}">` +
    `${sharedDefinitions}${drawBackground(size, random)}${drawObject(draw, random)}</svg>`;
  const drawn = await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const { width, height } = drawn.info;
  return sharp(exposeAndGrain(drawn.data, random), { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 88 })
    .toBuffer();
}

const numbered = (index: number): string => `${String(index).padStart(3, "0")}.jpg`;

/** Writes `<folder>/<class>/<nnn>.jpg`, `perClass` pictures of each class. */
export async function writeLabelledPictures(folder: string, perClass: number, seed: number): Promise<void> {
  for (const wasteClass of wasteClasses) {
    await mkdir(path.join(folder, wasteClass), { recursive: true });
    for (let index = 0; index < perClass; index += 1) {
      const picture = await drawWastePicture(wasteClass, seedFrom(seed, "labelled", wasteClass, index));
      await writeFile(path.join(folder, wasteClass, numbered(index)), picture);
    }
  }
}

/**
 * Writes `count` pictures of classes in turn, under names that do not tell the class, and three files that are not
 * pictures: an empty one, the first half of a JPEG, and a text.
 *
 * @returns the class of each picture by its file name
 */
export async function writeUnlabelledPictures(
  folder: string,
  count: number,
  seed: number,
): Promise<Map<string, string>> {
  await mkdir(folder, { recursive: true });
  const truth = new Map<string, string>();
  for (let index = 0; index < count; index += 1) {
    const wasteClass = wasteClasses[index % wasteClasses.length] ?? "";
    const picture = await drawWastePicture(wasteClass, seedFrom(seed, "unlabelled", index));
    await writeFile(path.join(folder, numbered(index)), picture);
    truth.set(numbered(index), wasteClass);
  }
  const whole = await drawWastePicture(wasteClasses[0] ?? "", seedFrom(seed, "truncated"));
  await writeFile(path.join(folder, "empty.jpg"), "");
  await writeFile(path.join(folder, "truncated.jpg"), whole.subarray(0, Math.floor(whole.length / 2)));
  await writeFile(
    path.join(folder, "not-a-picture.jpg"),
    "A shopping list: apples, batteries, a newspaper.\n",
  );
  return truth;
}
