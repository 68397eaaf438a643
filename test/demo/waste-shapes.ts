import type { SeededRandom } from "@trommel/common";

/** The colours of one picture's object, all from the palette that every class shares. */
export interface ObjectColours {
  readonly body: string;
  readonly trim: string;
  readonly ink: string;
}

/** Draws one object as SVG, in a box of 200 × 200 around the origin, upright. */
export type DrawObject = (colours: ObjectColours, random: SeededRandom) => string;

/** A band of light and one of shade over a round body, so that flat colours read as a solid. */
function roundShading(path: string): string {
  return `<path d="${path}" fill="url(#round)"/>`;
}

const drawBottle: DrawObject = ({ body, trim, ink }, random) => {
  const neckWidth = random.uniform(11, 15);
  const halfWidth = random.uniform(26, 34);
  const shoulder = random.uniform(-38, -22);
  const outline =
    `M ${-neckWidth} -82 L ${-neckWidth} -62 C ${-neckWidth} -45, ${-halfWidth} -48, ${-halfWidth} ${shoulder} ` +
    `L ${-halfWidth} 84 Q ${-halfWidth} 94 ${-halfWidth + 10} 94 L ${halfWidth - 10} 94 Q ${halfWidth} 94 ${halfWidth} 84 ` +
    `L ${halfWidth} ${shoulder} C ${halfWidth} -48, ${neckWidth} -45, ${neckWidth} -62 L ${neckWidth} -82 Z`;
  const labelTop = random.uniform(-8, 12);
  return (
    `<path d="${outline}" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    `<rect x="${-halfWidth + 1.5}" y="${labelTop}" width="${2 * halfWidth - 3}" height="46" fill="${trim}"/>` +
    `<path d="M ${-halfWidth + 8} ${labelTop + 14} h ${halfWidth} M ${-halfWidth + 8} ${labelTop + 28} h ${halfWidth * 1.4}" ` +
    `stroke="${ink}" stroke-width="4"/>` +
    roundShading(outline) +
    `<rect x="${-neckWidth - 3}" y="-96" width="${2 * neckWidth + 6}" height="16" rx="3" fill="${trim}" stroke="${ink}" stroke-width="3"/>`
  );
};

const drawCan: DrawObject = ({ body, trim, ink }, random) => {
  const half = random.uniform(42, 50);
  const rim = random.uniform(12, 17);
  const wall = `M ${-half} -62 L ${-half} 66 A ${half} ${rim} 0 0 0 ${half} 66 L ${half} -62 Z`;
  const wave = random.uniform(-20, 10);
  return (
    `<path d="${wall}" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    `<path d="M ${-half} ${wave} C ${-half / 3} ${wave - 40}, ${half / 3} ${wave + 50}, ${half} ${wave} L ${half} ${wave + 34} ` +
    `C ${half / 3} ${wave + 84}, ${-half / 3} ${wave - 6}, ${-half} ${wave + 34} Z" fill="${trim}"/>` +
    roundShading(wall) +
    `<path d="M ${-half} 58 A ${half} ${rim} 0 0 0 ${half} 58" fill="none" stroke="${ink}" stroke-width="2"/>` +
    `<ellipse cx="0" cy="-62" rx="${half}" ry="${rim}" fill="#d9dde0" stroke="${ink}" stroke-width="3"/>` +
    `<ellipse cx="0" cy="-62" rx="${half - 8}" ry="${rim - 5}" fill="none" stroke="#8d959b" stroke-width="2"/>` +
    `<ellipse cx="6" cy="-62" rx="13" ry="4.5" fill="#b3babf" stroke="${ink}" stroke-width="2"/>`
  );
};

const drawAppleCore: DrawObject = ({ body, trim, ink }, random) => {
  const waist = random.uniform(12, 18);
  const lean = random.uniform(-10, 10);
  const outline =
    `M -44 -58 C -20 -74, -10 -52, 0 -56 C 10 -52, 24 -76, 46 -58 C 40 -34, ${waist + 8} -28, ${waist} 0 ` +
    `C ${waist + 6} 30, 36 36, 42 62 C 22 80, 10 62, 0 68 C -12 62, -22 80, -42 62 C -36 38, ${-waist - 6} 30, ${-waist} 0 ` +
    `C ${-waist - 8} -28, -40 -34, -44 -58 Z`;
  const flesh =
    `M -34 -46 C -14 -40, 14 -40, 36 -46 C 26 -26, ${waist + 2} -22, ${waist - 4} 0 C ${waist + 2} 26, 26 34, 32 52 ` +
    `C 14 46, -14 46, -32 52 C -26 34, ${-waist} 26, ${4 - waist} 0 C ${-waist} -22, -26 -26, -34 -46 Z`;
  return (
    `<path d="${outline}" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    `<path d="${flesh}" fill="${trim}"/>` +
    `<path d="M -5 -10 q 5 -10 6 2 q -4 8 -6 -2 Z M 4 8 q 5 -8 6 3 q -4 8 -6 -3 Z" fill="${ink}"/>` +
    `<path d="M 0 -54 C 0 -72, ${lean} -78, ${lean * 1.6} -94" fill="none" stroke="${ink}" stroke-width="6" stroke-linecap="round"/>` +
    `<path d="M ${lean} -80 q 22 -20 40 -4 q -20 14 -40 4 Z" fill="${body}" stroke="${ink}" stroke-width="2"/>`
  );
};

/** Lines of print: strokes of uneven length, a column wide. */
function columnOfPrint(x: number, y: number, width: number, lines: number, random: SeededRandom): string {
  const strokes = Array.from({ length: lines }, (_, line) => {
    const length = width * (line === lines - 1 ? 0.5 : random.uniform(0.85, 1));
    return `M ${x} ${y + line * 7} h ${length.toFixed(1)}`;
  });
  return strokes.join(" ");
}

const drawNewspaper: DrawObject = ({ body, trim, ink }, random) => {
  const pictureLeft = random.unit() < 0.5;
  const pictureX = pictureLeft ? -62 : 4;
  const printX = pictureLeft ? 4 : -62;
  return (
    `<g transform="scale(0.84)">` +
    `<path d="M -66 -78 L 78 -84 L 84 74 L -58 84 Z" fill="${trim}" stroke="${ink}" stroke-width="3"/>` +
    `<path d="M -74 -84 L 70 -84 L 70 80 L -74 80 Z" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    `<rect x="-64" y="-74" width="124" height="17" fill="${ink}"/>` +
    `<path d="M -64 -49 H 60" stroke="${ink}" stroke-width="2"/>` +
    `<rect x="${pictureX}" y="-40" width="56" height="46" fill="${trim}" stroke="${ink}" stroke-width="2"/>` +
    `<path d="M ${pictureX + 4} 2 l 16 -24 l 12 14 l 8 -10 l 12 20 Z" fill="${ink}"/>` +
    `<path d="${columnOfPrint(printX, -37, 56, 7, random)} ${columnOfPrint(-62, 18, 56, 8, random)} ` +
    `${columnOfPrint(4, 18, 56, 8, random)}" stroke="${ink}" stroke-width="3"/>` +
    `<path d="M -74 0 L 70 0 L 70 6 L -74 6 Z" fill="#000" opacity="0.10"/></g>`
  );
};

const drawBattery: DrawObject = ({ body, trim, ink }, random) => {
  const half = random.uniform(25, 31);
  const split = random.uniform(-50, -18);
  const wall = `M ${-half} -74 H ${half} V 84 Q ${half} 90 ${half - 6} 90 H ${6 - half} Q ${-half} 90 ${-half} 84 Z`;
  const bolt = random.uniform(0.8, 1.15);
  return (
    `<rect x="-10" y="-90" width="20" height="18" rx="2" fill="#c4cacf" stroke="${ink}" stroke-width="3"/>` +
    `<path d="${wall}" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    `<rect x="${-half + 1.5}" y="-72.5" width="${2 * half - 3}" height="${split + 72.5}" fill="${trim}"/>` +
    `<g transform="translate(0 26) scale(${bolt.toFixed(3)})"><path d="M 6 -38 L -16 6 L -2 6 L -8 38 L 16 -8 L 2 -8 Z" ` +
    `fill="${trim}" stroke="${ink}" stroke-width="2"/></g>` +
    `<path d="M -8 ${split - 12} h 16 M 0 ${split - 20} v 16 M -8 78 h 16" stroke="${ink}" stroke-width="5"/>` +
    roundShading(wall)
  );
};

const drawMug: DrawObject = ({ body, trim, ink }, random) => {
  const half = random.uniform(46, 54);
  const foot = half - random.uniform(2, 12);
  const wall = `M ${-half} -46 L ${-foot} 62 Q ${-foot} 74 ${12 - foot} 74 H ${foot - 12} Q ${foot} 74 ${foot} 62 L ${half} -46 Z`;
  const reach = random.uniform(36, 46);
  const mark =
    random.unit() < 0.5
      ? `<path d="M 0 42 C -36 16, -26 -16, 0 2 C 26 -16, 36 16, 0 42 Z" fill="${trim}"/>`
      : `<path d="M ${-half + 5} 0 H ${half - 5} L ${half - 7} 22 H ${-half + 7} Z" fill="${trim}"/>`;
  return (
    `<path d="M ${half - 4} -30 C ${half + reach} -44, ${half + reach} 52, ${foot - 2} 42" fill="none" stroke="${ink}" stroke-width="18"/>` +
    `<path d="M ${half - 4} -30 C ${half + reach} -44, ${half + reach} 52, ${foot - 2} 42" fill="none" stroke="${body}" stroke-width="12"/>` +
    `<path d="${wall}" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    mark +
    roundShading(wall) +
    `<ellipse cx="0" cy="-46" rx="${half}" ry="15" fill="${body}" stroke="${ink}" stroke-width="3"/>` +
    `<ellipse cx="0" cy="-44" rx="${half - 7}" ry="10" fill="#3f2d24"/>`
  );
};

/** Every class of the demo with what draws it. The folder of a class has its name. */
export const wasteShapes: Readonly<Record<string, DrawObject>> = {
  "apple-core": drawAppleCore,
  battery: drawBattery,
  bottle: drawBottle,
  can: drawCan,
  mug: drawMug,
  newspaper: drawNewspaper,
};
