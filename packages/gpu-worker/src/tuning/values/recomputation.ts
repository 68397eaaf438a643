/**
 * Which values of the forward pass the backward pass computes again, instead of finding them in memory (Chen et al. 2016,
 * arXiv 1604.06174): none; what normalisations and activations made of values that are kept, a pass over each map; or all but the
 * last value of every so many bytes of layers, which computes the convolutions again too.
 */
export type Recomputation = "nothing" | "passes" | { readonly segmentBytes: number };
