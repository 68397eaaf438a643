import {
  backboneId,
  listBackbones,
  namedNormalizations,
  resolveBackbone,
  resolveLocation,
  TrommelError,
  type Normalization,
} from "@trommel/common";
import { loadWorkerCommands, Session, type GlobalFlags } from "../session.js";

type ImportFlags = GlobalFlags & {
  readonly name: string;
  readonly output?: string;
  readonly size?: number;
  readonly normalize: string;
  readonly channels: "rgb" | "bgr";
  readonly pooling?: "average" | "max";
  readonly sha256?: string;
};

/** `trommel backbone import <source>` */
export async function backboneImport(source: string, flags: ImportFlags): Promise<void> {
  const session = new Session(flags);
  try {
    const commands = await loadWorkerCommands();
    const spec = await commands.importBackbone(
      {
        storeUrl: session.store.url,
        source: /^https?:\/\//i.test(source) ? source : resolveLocation(source),
        name: flags.name,
        normalization: parseNormalization(flags.normalize),
        channelOrder: flags.channels,
        ...(flags.output === undefined ? {} : { output: flags.output }),
        ...(flags.size === undefined ? {} : { inputSize: flags.size }),
        ...(flags.pooling === undefined ? {} : { pooling: flags.pooling }),
        ...(flags.sha256 === undefined ? {} : { sha256: flags.sha256 }),
      },
      (line) => session.say(line),
    );
    session.say(
      `imported ${backboneId(spec)}: ${spec.inputSize} × ${spec.inputSize} pixels to ${spec.dimension} numbers`,
    );
    session.result({ id: backboneId(spec), spec });
  } finally {
    await session.close();
  }
}

/** `tf`, `torch`, `unit`, `none`, or six numbers. */
function parseNormalization(text: string): Normalization {
  if (Object.hasOwn(namedNormalizations, text)) {
    const named = namedNormalizations[text as keyof typeof namedNormalizations];
    return { mean: [...named.mean], deviation: [...named.deviation] };
  }
  const numbers = text
    .split(/[\s,]+/)
    .filter((part) => part !== "")
    .map(Number);
  const [a, b, c, d, e, f] = numbers;
  if (
    numbers.length !== 6 ||
    !numbers.every(Number.isFinite) ||
    [d, e, f].some((v) => v === undefined || v <= 0)
  ) {
    throw new TrommelError(
      "invalid-argument",
      `failed to read --normalize ${JSON.stringify(text)}: legal are ${Object.keys(namedNormalizations).join(", ")}, or six numbers in 0..255 units (three means, three deviations above zero)`,
    );
  }
  return { mean: [a ?? 0, b ?? 0, c ?? 0], deviation: [d ?? 1, e ?? 1, f ?? 1] };
}

/** `trommel backbone ls` */
export async function backboneList(flags: GlobalFlags): Promise<void> {
  const session = new Session(flags);
  try {
    const specs = await listBackbones(session.store);
    for (const spec of specs) {
      session.say(
        `${backboneId(spec)}  ${spec.inputSize} px  ${spec.dimension} numbers  ${spec.parameterCount} parameters`,
      );
    }
    if (specs.length === 0)
      session.say(`no backbone in ${session.store.url} yet; 'trommel backbone import' adds one`);
    session.result({ backbones: specs.map((spec) => ({ id: backboneId(spec), ...spec })) });
  } finally {
    await session.close();
  }
}

/** `trommel backbone show <name>` */
export async function backboneShow(name: string, flags: GlobalFlags): Promise<void> {
  const session = new Session(flags);
  try {
    const spec = await resolveBackbone(session.store, name);
    session.say(JSON.stringify({ id: backboneId(spec), ...spec }, null, 2));
    session.result({ id: backboneId(spec), ...spec });
  } finally {
    await session.close();
  }
}
