import type { SeededRandom } from "@trommel/common";

/**
 * The only colours of the demo. Objects of every class and the clutter around them draw from it alike, so that a
 * picture's colours say nothing about its class.
 */
export const palette = [
  "#2b2d33",
  "#c8553d", "#e08e45", "#e9c46a", "#8ab17d", "#2a9d8f", "#287271",
  "#457b9d", "#7b6d9f", "#b56576", "#f1e9da", "#a39b8b", "#6b705c",
] as const; // prettier-ignore

function pickColour(random: SeededRandom): string {
  return palette[random.integer(palette.length)] ?? palette[0];
}

type Size = Readonly<{ width: number; height: number }>;

function blob(radius: number, random: SeededRandom): string {
  const corners = 5 + random.integer(5);
  const points = Array.from({ length: corners }, (_, corner) => {
    const angle = (2 * Math.PI * corner) / corners;
    const reach = radius * random.uniform(0.45, 1);
    return `${(reach * Math.cos(angle)).toFixed(1)},${(reach * Math.sin(angle)).toFixed(1)}`;
  });
  return `<polygon points="${points.join(" ")}"/>`;
}

function strips(radius: number, random: SeededRandom): string {
  const gap = random.uniform(5, 9);
  const lines = Array.from(
    { length: Math.ceil(radius / gap) },
    (_, line) => `M ${-radius / 2} ${line * gap - radius / 2} h ${radius}`,
  );
  return `<path d="${lines.join(" ")}" fill="none" stroke-width="2.5"/>`;
}

/** One piece of litter that is of no class, around the origin, in the colours of the group it is put in. */
function litter(radius: number, random: SeededRandom): string {
  const r = radius.toFixed(1);
  switch (random.integer(7)) {
    case 0:
      return `<circle r="${r}"/>`;
    case 1:
      return `<rect x="-${r}" y="-${(radius * 0.4).toFixed(1)}" width="${(2 * radius).toFixed(1)}" height="${(radius * 0.8).toFixed(1)}" rx="${(radius * random.uniform(0, 0.4)).toFixed(1)}"/>`;
    case 2:
      return `<path d="M -${r} 0 Q 0 -${r} ${r} 0 Q 0 ${r} -${r} 0 Z"/>`;
    case 3:
      return `<circle r="${(radius * 0.8).toFixed(1)}" fill="none" stroke-width="${random.uniform(4, 9).toFixed(1)}"/>`;
    case 4:
      return strips(radius, random);
    default:
      return blob(radius, random);
  }
}

function scattered(size: Size, radius: number, random: SeededRandom): string {
  const x = random.uniform(0, size.width).toFixed(1);
  const y = random.uniform(0, size.height).toFixed(1);
  const turn = random.uniform(0, 360).toFixed(0);
  return (
    `<g transform="translate(${x} ${y}) rotate(${turn})" fill="${pickColour(random)}" stroke="${pickColour(random)}" ` +
    `opacity="${random.uniform(0.55, 0.95).toFixed(2)}">${litter(radius, random)}</g>`
  );
}

function scratch(size: Size, random: SeededRandom): string {
  const at = (): string =>
    `${random.uniform(0, size.width).toFixed(0)} ${random.uniform(0, size.height).toFixed(0)}`;
  return (
    `<path d="M ${at()} Q ${at()} ${at()}" fill="none" stroke="${pickColour(random)}" ` +
    `stroke-width="${random.uniform(1, 4).toFixed(1)}" opacity="0.8"/>`
  );
}

/** A gradient, a hatching, and two dozen pieces of litter and scratches over the whole picture. */
export function drawBackground(size: Size, random: SeededRandom): string {
  const turn = random.uniform(0, 180).toFixed(0);
  const step = random.uniform(8, 18).toFixed(1);
  const pieces = Array.from({ length: 12 + random.integer(8) }, () =>
    scattered(size, random.uniform(8, 30), random),
  );
  const scratches = Array.from({ length: 4 + random.integer(6) }, () => scratch(size, random));
  return (
    `<defs><linearGradient id="ground" gradientTransform="rotate(${turn} 0.5 0.5)"><stop offset="0" stop-color="${pickColour(random)}"/>` +
    `<stop offset="1" stop-color="${pickColour(random)}"/></linearGradient>` +
    `<pattern id="hatching" width="${step}" height="${step}" patternUnits="userSpaceOnUse" patternTransform="rotate(${turn})">` +
    `<path d="M 0 0 H ${step}" stroke="${pickColour(random)}" stroke-width="${random.uniform(1, 4).toFixed(1)}"/></pattern></defs>` +
    `<rect width="100%" height="100%" fill="url(#ground)"/><rect width="100%" height="100%" fill="url(#hatching)" opacity="0.5"/>` +
    pieces.join("") +
    scratches.join("")
  );
}
