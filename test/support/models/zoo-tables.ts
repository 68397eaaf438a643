/** Keras's published parameter counts without top; tf.keras counts seven more for an EfficientNet, its normalisation layer. */
export const publishedCounts: Readonly<Record<string, number>> = {
  "efficientnet-b0": 4_049_564,
  "efficientnet-b1": 6_575_232,
  "efficientnet-b2": 7_768_562,
  "efficientnet-b3": 10_783_528,
  "efficientnet-b4": 17_673_816,
  "efficientnet-b5": 28_513_520,
  "efficientnet-b6": 40_960_136,
  "efficientnet-b7": 64_097_680,
  "mobilenet-v1": 3_228_864,
  "mobilenet-v1-0.75": 1_832_976,
  "mobilenet-v1-0.5": 829_536,
  "mobilenet-v1-0.25": 218_544,
  "mobilenet-v2": 2_257_984,
  "mobilenet-v2-1.4": 4_363_712,
  "mobilenet-v2-1.3": 3_766_048,
  "mobilenet-v2-0.75": 1_382_064,
  "mobilenet-v2-0.5": 706_224,
  "mobilenet-v2-0.35": 410_208,
  resnet50: 23_587_712,
  resnet101: 42_658_176,
  resnet152: 58_370_944,
  "inception-v3": 21_802_784,
  xception: 20_861_480,
};

/** The zoo's topology as far as the tests read it. */
export interface ZooTopology {
  readonly config: {
    readonly layers: readonly {
      readonly name: string;
      readonly class_name: string;
      readonly config: Readonly<Record<string, unknown>>;
    }[];
  };
}
