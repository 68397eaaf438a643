import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TrommelError } from "@trommel/common";
import {
  installedVersion,
  kerasPackages,
  requirePackages,
  tensorflowPackages,
} from "#gpu-worker/graph/optional-packages";

const without =
  (...absent: string[]) =>
  (name: string): string => {
    if (absent.includes(name)) throw new Error(`no ${name}`);
    return `/somewhere/${name}`;
  };

describe("the optional packages for Keras models", () => {
  it("are all installed in this repository", () => {
    requirePackages("test", kerasPackages);
    assert.match(installedVersion("@tensorflow/tfjs-core") ?? "", /^4\./);
    assert.equal(installedVersion("@tensorflow/no-such-package"), undefined);
  });

  it("are asked for with one command that names every version, if one of them is missing", () => {
    assert.throws(
      () => requirePackages("import a Keras model", kerasPackages, without("h5wasm")),
      (thrown: unknown) => {
        assert.ok(thrown instanceof TrommelError);
        assert.equal(thrown.code, "device-unavailable");
        assert.equal(
          thrown.message,
          'cannot import a Keras model: h5wasm is not installed. Run "npm install @tensorflow/tfjs-core@4.22.0 ' +
            '@tensorflow/tfjs-layers@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 h5wasm@0.10.3" where Trommel is installed',
        );
        return true;
      },
    );
    requirePackages("use TensorFlow.js", tensorflowPackages, without("h5wasm"));
    assert.throws(
      () => requirePackages("use TensorFlow.js", tensorflowPackages, without(...tensorflowPackages)),
      /^TrommelError: cannot use TensorFlow.js: @tensorflow\/tfjs-core, @tensorflow\/tfjs-layers, @tensorflow\/tfjs-backend-wasm are not installed\. /,
    );
  });
});
