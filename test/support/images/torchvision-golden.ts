import { readFileSync } from "node:fs";
import {
  type GeometricStep,
  type ViewParameters,
  identityParameters,
} from "#gpu-worker/image/views/view-parameters";

/** What `test/golden/torchvision-views.py` wrote; its header says what each part is. */
interface TorchvisionGolden {
  readonly steps: readonly {
    readonly parameters: GoldenParameters;
    readonly order: readonly GeometricStep[];
    /** Output x, output y, input x, input y. */
    readonly points: readonly [number, number, number, number][];
  }[];
  readonly crops: {
    readonly area: [number, number];
    readonly ratio: [number, number];
    readonly deciles: Readonly<Record<"area" | "logRatio" | "left" | "top", readonly number[]>>;
    readonly fallbacks: readonly {
      readonly area: [number, number];
      readonly ratio: [number, number];
      /** Left, top, width, height. */
      readonly window: Window;
    }[];
  };
  readonly pictures: {
    readonly side: number;
    readonly size: number;
    /** uint8 [side, side, 3], base64. */
    readonly picture: string;
    readonly cases: readonly {
      /** Left, top, right, bottom in pixels. */
      readonly edges: Window;
      /** uint8 [size, size, 3], base64: one of the two. */
      readonly box?: string;
      readonly crop?: string;
    }[];
  };
  readonly colours: readonly {
    readonly rgb: readonly number[];
    readonly brightness: number;
    readonly saturation: number;
    readonly tensor: readonly number[];
    readonly picture: readonly number[];
  }[];
}

type Window = readonly [number, number, number, number];

interface GoldenParameters {
  readonly crop?: Window;
  readonly resizedCrop?: Window;
  readonly rotation?: number;
  readonly shift?: readonly [number, number];
  readonly zoom?: number;
  readonly flipX?: boolean;
  readonly flipY?: boolean;
  readonly quarterTurns?: number;
}

export const torchvisionGolden = JSON.parse(
  readFileSync(new URL("../../../golden/torchvision-views.json", import.meta.url), "utf8"),
) as TorchvisionGolden;

/** The golden's words in ours. */
export function parametersOf(
  { crop, resizedCrop, rotation, shift, zoom, flipX, flipY, quarterTurns }: GoldenParameters,
  order: readonly GeometricStep[] = identityParameters.order,
): ViewParameters {
  return {
    ...identityParameters,
    crop: windowOf(crop ?? [0, 0, 1, 1]),
    resizedCrop: windowOf(resizedCrop ?? [0, 0, 1, 1]),
    rotation: rotation ?? 0,
    shiftX: shift?.[0] ?? 0,
    shiftY: shift?.[1] ?? 0,
    zoomX: zoom ?? 1,
    zoomY: zoom ?? 1,
    flipX: flipX ?? false,
    flipY: flipY ?? false,
    quarterTurns: quarterTurns ?? 0,
    order,
  };
}

function windowOf([left, top, width, height]: Window) {
  return { left, top, width, height };
}
