/**
 * ONNX Runtime's package for Linux writes what it ran, and on what machine, into the user's home, to be sent to its makers. Imported before the
 * library is loaded, and first on the main thread, whose environment is the process's, this turns that off unless the user has
 * set the variable.
 */
process.env["ORT_DISABLE_TELEMETRY"] ??= "1";
