import type { AxisOrder, Backbones, BackboneSpec, ChannelOrder, OutputPooling } from "../../index.js";
import { describeSum } from "../describe/describe-sum.js";
import { withTrommel, type GlobalFlags } from "../handle.js";
import { tableOf } from "../table.js";
import { exitCodes, type Terminal } from "../terminal.js";

/** What may be said of a new backbone; what is left out is the model's, the architecture's or the catalogue's. */
type ChoiceFlags = GlobalFlags & {
  readonly name?: string;
  readonly size?: number;
  readonly normalize?: string;
  readonly channels?: ChannelOrder;
  readonly pooling?: OutputPooling;
};

/** What may be said of a network that comes with its own layers. */
type EncoderFlags = {
  readonly output?: string;
  readonly forceNormalize?: boolean;
  readonly inputLayout?: AxisOrder;
  readonly outputLayout?: AxisOrder;
  readonly prefixTokens?: number;
};

type ImportFlags = ChoiceFlags & EncoderFlags & { readonly arch?: string; readonly sha256?: string };

/** `trommel backbone import <source>` */
export async function backboneImport(terminal: Terminal, source: string, flags: ImportFlags): Promise<void> {
  const { arch: architecture, sha256 } = flags;
  await bring(terminal, flags, (backbones, choices) =>
    backbones.import(source, { ...choices, ...encoderChoices(flags), architecture, sha256 }),
  );
}

function encoderChoices({ output, forceNormalize, inputLayout, outputLayout, prefixTokens }: EncoderFlags) {
  return { output, forceNormalization: forceNormalize, inputLayout, outputLayout, prefixTokens };
}

/** `trommel backbone random` */
export async function backboneRandom(
  terminal: Terminal,
  flags: ChoiceFlags & { readonly arch: string; readonly seed: number },
): Promise<void> {
  const { arch: architecture, seed } = flags;
  await bring(terminal, flags, (backbones, choices) => backbones.random({ ...choices, architecture, seed }));
}

/** `trommel backbone pull <weights>` */
export async function backbonePull(
  terminal: Terminal,
  weights: string,
  flags: ChoiceFlags & EncoderFlags & { readonly catalogue?: string; readonly file?: string },
): Promise<void> {
  const { catalogue, file } = flags;
  const onProgress = (line: string): void => terminal.progress(line);
  await bring(terminal, flags, (backbones, choices) =>
    backbones.pull(weights, { ...choices, ...encoderChoices(flags), catalogue, file, onProgress }),
  );
}

/** `trommel backbone quantize <backbone>` */
export async function backboneQuantize(
  terminal: Terminal,
  backbone: string,
  flags: GlobalFlags & { readonly pictures: string; readonly count: number; readonly name?: string },
): Promise<void> {
  const { pictures, count, name } = flags;
  await bring(terminal, flags, (backbones, { onStep }) =>
    backbones.quantize(backbone, { pictures, count, name, onStep }),
  );
}

/** `trommel backbone catalogue` */
export async function backboneCatalogue(
  terminal: Terminal,
  flags: GlobalFlags & { readonly catalogue?: string },
): Promise<void> {
  await withTrommel(terminal, flags, async ({ backbones }) => {
    const weights = await backbones.catalogue(flags.catalogue);
    for (const { name, architecture, inputSize, licence, url, sha256 } of weights) {
      terminal.say(`${name}  ${architecture}  ${inputSize} px  ${licence}\n  ${url}\n  sha256 ${sha256}`);
    }
    terminal.result({ weights });
  });
}

/** Has a backbone made, and says what came of it. */
async function bring(
  terminal: Terminal,
  flags: ChoiceFlags,
  make: (backbones: Backbones, choices: ReturnType<typeof choicesOf>) => Promise<BackboneSpec>,
): Promise<void> {
  await withTrommel(terminal, flags, async ({ backbones }) => {
    const spec = await make(backbones, choicesOf(terminal, flags));
    const id = backbones.idOf(spec);
    terminal.say(
      `imported ${id}: ${spec.inputSize} × ${spec.inputSize} pixels to an embedding of ${spec.dimension} dimensions`,
    );
    terminal.result({ id, spec });
  });
}

function choicesOf(terminal: Terminal, { name, size, normalize, channels, pooling }: ChoiceFlags) {
  const onStep = (line: string): void => terminal.say(line);
  return { name, size, normalize, channels, pooling, onStep };
}

/** `trommel backbone ls` */
export async function backboneList(terminal: Terminal, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async ({ backbones, store }) => {
    const listed = await backbones.list();
    const rows = listed.backbones.map((spec) => [
      backbones.idOf(spec),
      `${spec.inputSize} px`,
      String(spec.dimension),
      spec.parameterCount.toLocaleString("en"),
    ]);
    for (const line of tableOf(["backbone", "input", "dimensions", "parameters"], rows)) terminal.say(line);
    for (const { id, error } of listed.damaged) terminal.say(`${id}  damaged: ${error.message}`);
    if (listed.damaged.length > 0) terminal.exitCode = exitCodes.failed;
    if (listed.backbones.length + listed.damaged.length === 0)
      terminal.say(`no backbone in ${store.url} yet; 'trommel backbone import' adds one`);
    terminal.result({
      backbones: listed.backbones.map((spec) => ({ id: backbones.idOf(spec), ...spec })),
      damaged: listed.damaged.map(({ id, error }) => ({ id, error: error.toJSON() })),
    });
  });
}

/** `trommel backbone show <name>` */
export async function backboneShow(terminal: Terminal, name: string, flags: GlobalFlags): Promise<void> {
  await withTrommel(terminal, flags, async ({ backbones }) => {
    const spec = await backbones.show(name);
    const shown = { id: backbones.idOf(spec), ...spec };
    terminal.say(JSON.stringify(shown, null, 2));
    terminal.result(shown);
  });
}

/** `trommel backbone remove <name@hash>` */
export async function backboneRemove(
  terminal: Terminal,
  reference: string,
  flags: GlobalFlags & { readonly yes?: boolean },
): Promise<void> {
  await withTrommel(terminal, flags, async ({ backbones }) => {
    const stored = await backbones.remove(reference, { remove: flags.yes });
    terminal.say(`backbone ${stored.id}: ${describeSum(stored)}`);
    terminal.say(
      stored.removed
        ? `removed ${stored.id}`
        : "the same command with --yes removes it; nothing was removed yet",
    );
    terminal.result(stored);
  });
}
