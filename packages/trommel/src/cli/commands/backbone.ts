import { resolve } from "node:path";
import {
  backboneId,
  listBackbones,
  normalizationName,
  normalizationNamed,
  resolveBackbone,
  TrommelError,
  type BackboneSpec,
  type Normalization,
  type WorkerCommands,
} from "@trommel/common";
import { cacheFolder, readCatalogue } from "../weight-catalogue.js";
import { loadWorkerCommands } from "../../worker-package.js";
import { Session, type GlobalFlags } from "../session.js";
import { exitCodes, type Terminal } from "../terminal.js";

/** What may be said of a new backbone; what is left out is the model's, the architecture's or the catalogue's. */
type ChoiceFlags = GlobalFlags & {
  readonly name?: string;
  readonly size?: number;
  readonly normalize?: string;
  readonly channels?: "rgb" | "bgr";
  readonly pooling?: "average" | "max";
};

type ImportFlags = ChoiceFlags & {
  readonly arch?: string;
  readonly output?: string;
  readonly sha256?: string;
};

/** `trommel backbone import <source>` */
export async function backboneImport(terminal: Terminal, source: string, flags: ImportFlags): Promise<void> {
  const name = flags.name ?? flags.arch;
  if (name === undefined) {
    throw new TrommelError(
      "invalid-argument",
      `failed to import ${source}: the backbone needs a name. Add --name, or for a file of weights --arch <architecture>, which is then the name too`,
    );
  }
  await bring(terminal, flags, (commands, session) =>
    commands.importBackbone(
      {
        ...choices(flags, session),
        name,
        source: /^https?:\/\//i.test(source) ? source : session.locate(source),
        ...(flags.arch === undefined ? {} : { architecture: flags.arch }),
        ...(flags.output === undefined ? {} : { output: flags.output }),
        ...(flags.sha256 === undefined ? {} : { sha256: flags.sha256 }),
      },
      (line) => session.say(line),
    ),
  );
}

/** `trommel backbone random` */
export async function backboneRandom(
  terminal: Terminal,
  flags: ChoiceFlags & { readonly arch: string; readonly seed: number },
): Promise<void> {
  await bring(terminal, flags, (commands, session) =>
    commands.randomBackbone(
      {
        ...choices(flags, session),
        name: flags.name ?? flags.arch,
        architecture: flags.arch,
        seed: flags.seed,
      },
      (line) => session.say(line),
    ),
  );
}

/** `trommel backbone pull <weights>` */
export async function backbonePull(
  terminal: Terminal,
  weights: string,
  flags: ChoiceFlags & { readonly catalogue?: string },
): Promise<void> {
  const catalogue =
    flags.catalogue === undefined
      ? undefined
      : await readCatalogue(resolve(terminal.io.cwd, flags.catalogue));
  await bring(terminal, flags, (commands, session) =>
    commands.pullBackbone(
      {
        ...choices(flags, session),
        weights,
        cacheFolder: cacheFolder(terminal.io.env),
        ...(flags.name === undefined ? {} : { name: flags.name }),
        ...(catalogue === undefined ? {} : { catalogue }),
      },
      (line) => session.say(line),
      (line) => terminal.progress(line),
    ),
  );
}

/** `trommel backbone quantize <backbone>` */
export async function backboneQuantize(
  terminal: Terminal,
  backbone: string,
  flags: GlobalFlags & { readonly pictures: string; readonly count: number; readonly name?: string },
): Promise<void> {
  await bring(terminal, flags, (commands, session) =>
    commands.quantizeBackbone(
      {
        storeUrl: session.store.url,
        backbone,
        pictures: session.locate(flags.pictures),
        count: flags.count,
        ...(flags.name === undefined ? {} : { name: flags.name }),
      },
      (line) => session.say(line),
    ),
  );
}

/** `trommel backbone catalogue` */
export async function backboneCatalogue(
  terminal: Terminal,
  flags: GlobalFlags & { readonly catalogue?: string },
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const entries =
      flags.catalogue === undefined
        ? await (await loadWorkerCommands()).listCatalogue()
        : await readCatalogue(resolve(terminal.io.cwd, flags.catalogue));
    for (const { name, architecture, inputSize, licence, url, sha256 } of entries) {
      session.say(`${name}  ${architecture}  ${inputSize} px  ${licence}\n  ${url}\n  sha256 ${sha256}`);
    }
    session.result({ weights: entries });
  } finally {
    await session.close();
  }
}

/** Has the worker package make a backbone, and says what came of it. */
async function bring(
  terminal: Terminal,
  flags: GlobalFlags,
  make: (commands: WorkerCommands, session: Session) => Promise<BackboneSpec>,
): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const spec = await make(await loadWorkerCommands(), session);
    session.say(
      `imported ${backboneId(spec)}: ${spec.inputSize} × ${spec.inputSize} pixels to ${spec.dimension} numbers`,
    );
    session.result({ id: backboneId(spec), spec });
  } finally {
    await session.close();
  }
}

function choices(flags: ChoiceFlags, session: Session) {
  return {
    storeUrl: session.store.url,
    ...(flags.size === undefined ? {} : { inputSize: flags.size }),
    ...(flags.normalize === undefined ? {} : { normalization: parseNormalization(flags.normalize) }),
    ...(flags.channels === undefined ? {} : { channelOrder: flags.channels }),
    ...(flags.pooling === undefined ? {} : { pooling: flags.pooling }),
  };
}

/** `tf`, `torch`, `unit`, `none`, or six numbers. */
function parseNormalization(text: string): Normalization {
  const name = normalizationName.safeParse(text);
  if (name.success) return normalizationNamed(name.data);
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
      `failed to read --normalize ${JSON.stringify(text)}: legal are ${normalizationName.options.join(", ")}, or six numbers in 0..255 units (three means, three deviations above zero)`,
    );
  }
  return { mean: [a ?? 0, b ?? 0, c ?? 0], deviation: [d ?? 1, e ?? 1, f ?? 1] };
}

/** `trommel backbone ls` */
export async function backboneList(terminal: Terminal, flags: GlobalFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const damaged: { id: string; error: ReturnType<TrommelError["toJSON"]> }[] = [];
    const specs = await listBackbones(session.store, (id, error) => {
      damaged.push({ id, error: error.toJSON() });
    });
    for (const spec of specs) {
      session.say(
        `${backboneId(spec)}  ${spec.inputSize} px  ${spec.dimension} numbers  ${spec.parameterCount} parameters`,
      );
    }
    for (const { id, error } of damaged) session.say(`${id}  damaged: ${error.message}`);
    if (damaged.length > 0) session.terminal.exitCode = exitCodes.failed;
    if (specs.length + damaged.length === 0)
      session.say(`no backbone in ${session.store.url} yet; 'trommel backbone import' adds one`);
    session.result({ backbones: specs.map((spec) => ({ id: backboneId(spec), ...spec })), damaged });
  } finally {
    await session.close();
  }
}

/** `trommel backbone show <name>` */
export async function backboneShow(terminal: Terminal, name: string, flags: GlobalFlags): Promise<void> {
  const session = new Session(terminal, flags);
  try {
    const spec = await resolveBackbone(session.store, name);
    session.say(JSON.stringify({ id: backboneId(spec), ...spec }, null, 2));
    session.result({ id: backboneId(spec), ...spec });
  } finally {
    await session.close();
  }
}
