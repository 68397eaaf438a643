import { H5Fault, type H5File } from "./h5-file.js";
import type { FileWeight } from "./weight-file.js";
import { layersOf, weightName } from "./weight-names.js";

/**
 * Lists the weights that Keras's `save_weights` and `save` write in the legacy HDF5 format: at the root (weights) or in
 * `model_weights` (whole models) the attribute `layer_names`; for each layer a group with the attribute `weight_names`; and
 * each weight as a dataset under its name in that group. Source: keras/src/legacy/saving/legacy_h5_format.py.
 */
export function listKerasWeights(file: H5File): FileWeight[] {
  const root = file.isGroup("/model_weights") ? "/model_weights" : "/";
  const layers = file.strings(root, "layer_names");
  if (layers === undefined) {
    throw new H5Fault(
      file.isGroup("/layers") || file.isGroup("/_layer_checkpoint_dependencies")
        ? "it is in the newer format of Keras 3 (.weights.h5), which does not name layers; save it under a name that ends in .h5 only"
        : "it has no attribute layer_names, which Keras writes",
    );
  }
  // Weights of the model itself, of no layer; not in layer_names.
  const extra = "top_level_model_weights";
  const groups =
    !layers.includes(extra) && file.isGroup(joined(root, extra)) ? [...layers, extra] : [...layers];
  if (new Set(groups).size !== groups.length) throw new H5Fault("layer_names names a layer twice");
  return groups.flatMap((group) => weightsOfGroup(file, root, group));
}

const maxWeightsPerGroup = 20_000;

function weightsOfGroup(file: H5File, root: string, group: string): FileWeight[] {
  const path = joined(root, group);
  const paths = file.strings(path, "weight_names");
  if (paths === undefined) throw new H5Fault(`the layer ${group} has no attribute weight_names`);
  if (paths.length > maxWeightsPerGroup) throw new H5Fault(`the layer ${group} has ${paths.length} weights`);
  const layers = layersOf(group, paths);
  return paths.map((name, index) => ({
    layer: layers[index] ?? group,
    name: weightName(name),
    path: joined(path, name),
    ...file.array(joined(path, name)),
  }));
}

function joined(root: string, name: string): string {
  return root === "/" ? `/${name}` : `${root}/${name}`;
}
