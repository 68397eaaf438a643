import {
  normalizationName,
  normalizationNamed,
  TrommelError,
  type AxisOrder,
  type ChannelOrder,
  type Normalization,
  type OutputPooling,
} from "@trommel/common";
import { publicHub } from "@trommel/common/artefacts";
import type { CallOptions } from "./abortable.js";
import type { Variables } from "./options.js";

/** What may be said of a new backbone; what is left out is the model's, the architecture's or the catalogue's. */
export interface BackboneChoices extends CallOptions {
  /** Name in the store. @default the catalogue's, else the architecture's */
  readonly name?: string | undefined;
  /** Side of the square input, pixels. */
  readonly size?: number | undefined;
  /** `tf`, `torch`, `unit`, `none`, six numbers as a text (means, deviations), or means and deviations in 0..255 units. */
  readonly normalize?: string | Normalization | undefined;
  /** The order that the network wants. */
  readonly channels?: ChannelOrder | undefined;
  /** Pooling of a map (`average`, `max`) or of an ONNX encoder's tokens (`cls`, `mean`, `cls+mean`). */
  readonly pooling?: OutputPooling | undefined;
  /** Called with each step of the work, for people. */
  readonly onStep?: ((line: string) => void) | undefined;
}

/** What may be said of a network that comes with its own layers, where its graph does not say it. */
export interface EncoderChoices {
  /** Layer or tensor whose value is the embedding. */
  readonly output?: string | undefined;
  /** Keeps a normalisation that comes on top of the network's own. @default false */
  readonly forceNormalization?: boolean | undefined;
  /** Order of an ONNX encoder's input axes, for a graph that accepts both. */
  readonly inputLayout?: AxisOrder | undefined;
  /** Order of an ONNX encoder's output axes, for a graph that does not show it. */
  readonly outputLayout?: AxisOrder | undefined;
  /** How many of an ONNX encoder's tokens come before those of the patches. @default what the graph shows */
  readonly prefixTokens?: number | undefined;
}

export function encoderChoices({
  output,
  forceNormalization,
  inputLayout,
  outputLayout,
  prefixTokens,
}: EncoderChoices) {
  return {
    ...(output === undefined ? {} : { output }),
    ...(forceNormalization === undefined ? {} : { forceNormalization }),
    ...(inputLayout === undefined ? {} : { inputLayout }),
    ...(outputLayout === undefined ? {} : { outputLayout }),
    ...(prefixTokens === undefined ? {} : { prefixTokens }),
  };
}

/**
 * The hub's address and the token for it.
 * @throws TrommelError `invalid-argument` naming HF_ENDPOINT if it is no address
 */
export function hubAccess(env: Variables): { readonly endpoint: string; readonly token?: string } {
  const { HF_ENDPOINT: given = "", HF_TOKEN: token = "" } = env;
  const endpoint = given === "" ? publicHub : given;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    // Without what may be a login.
    const shown = JSON.stringify(endpoint.replace(/[^/]*@/, ""));
    throw new TrommelError(
      "invalid-argument",
      `cannot use the hub: HF_ENDPOINT is ${shown}, which is not the address of one. Set it to one such as ${publicHub}, or unset it`,
    );
  }
  return { endpoint, ...(token === "" ? {} : { token }) };
}

/** `tf`, `torch`, `unit`, `none`, or six numbers. */
export function parseNormalization(given: string | Normalization): Normalization {
  if (typeof given !== "string") return given;
  const name = normalizationName.safeParse(given);
  if (name.success) return normalizationNamed(name.data);
  const numbers = given
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
      `cannot read the normalization (normalize, --normalize) ${JSON.stringify(given)}: legal are ${normalizationName.options.join(", ")}, or six numbers in 0..255 units (three means, three deviations above zero)`,
    );
  }
  return { mean: [a ?? 0, b ?? 0, c ?? 0], deviation: [d ?? 1, e ?? 1, f ?? 1] };
}
