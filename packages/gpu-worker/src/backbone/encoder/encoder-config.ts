import { z } from "zod";
import type { TokenPooling } from "@trommel/common";

/** What an encoder's config.json says of its output. */
export interface EncoderConfig {
  /** `model_type` of transformers, or the architecture of timm. */
  readonly family: string;
  /** Outputs in the order in which they are taken. */
  readonly preferred: readonly string[];
  /** For an output that has tokens; undefined if the family does not decide it. */
  readonly usualPooling: TokenPooling | undefined;
}

const transformersConfig = z.object({
  model_type: z.string(),
  architectures: z.array(z.string()).nullish(),
});
const timmConfig = z.object({ architecture: z.string(), global_pool: z.string().nullish() });

const pooled = ["image_embeds", "pooler_output", "last_hidden_state"];
const fromTokens = ["last_hidden_state", "pooler_output"];

/**
 * By `model_type`. If transformers adds a pooler that the published weights do not hold (ViT, DeiT, BEiT and the masked
 * ones), the tokens come first.
 */
const families: Readonly<Record<string, readonly [preferred: readonly string[], pooling: TokenPooling]>> = {
  vit: [fromTokens, "cls"],
  deit: [fromTokens, "cls"],
  beit: [fromTokens, "mean"],
  "data2vec-vision": [fromTokens, "mean"],
  vit_mae: [fromTokens, "cls"],
  vit_msn: [fromTokens, "cls"],
  ijepa: [fromTokens, "mean"],
  dinov2: [pooled, "cls"],
  dinov2_with_registers: [pooled, "cls"],
  dinov3_vit: [pooled, "cls"],
  clip: [pooled, "cls"],
  clip_vision_model: [pooled, "cls"],
  chinese_clip: [pooled, "cls"],
  siglip: [pooled, "mean"],
  siglip_vision_model: [pooled, "mean"],
  siglip2: [pooled, "mean"],
  swin: [pooled, "mean"],
  swinv2: [pooled, "mean"],
  hiera: [pooled, "mean"],
};

/** timm's `global_pool` for networks with tokens; `avg` leaves the class token out. */
const timmPools: Readonly<Record<string, TokenPooling>> = { token: "cls", avg: "mean" };

/** @returns undefined for JSON that describes no network of transformers or timm */
export function encoderConfig(json: unknown): EncoderConfig | undefined {
  const transformers = transformersConfig.safeParse(json);
  if (transformers.success && transformers.data.model_type !== "timm_wrapper") {
    const family = transformers.data.model_type;
    const [preferred = pooled, usualPooling] = families[family] ?? [];
    return { family, preferred, usualPooling };
  }
  const timm = timmConfig.safeParse(json);
  if (!timm.success) return undefined;
  const { architecture, global_pool: pool } = timm.data;
  return { family: architecture, preferred: pooled, usualPooling: timmPools[pool ?? ""] };
}
