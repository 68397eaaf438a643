/**
 * A WebAssembly module that fills memory with dropout factors. Random numbers of 64 bits are four times as fast there as in
 * JavaScript, which has integers of 32 bits only and would spend more on the noise than ONNX Runtime on the training.
 *
 * Its two loops, in the notation of the generator (xoroshiro128+, Blackman & Vigna 2018, with the constants 24, 16 and 37):
 *
 *     bits = low32(s0 + s1);  a = s0 ^ s1;  s0 = rotl(s0, 24) ^ a ^ (a << 16);  s1 = rotl(a, 37)
 *
 *     normal(to, end, deviation): x = |bits| < threshold[bits & 127] ? bits · width[bits & 127] : outside(bits, u);
 *                                 unless x is NaN: *to++ = f32(1 + deviation · x)
 *     mask(to, end, keptFrom, factorBits): *to++ = factorBits & (bits ≥ keptFrom ? ~0 : 0)
 *
 * where u is a uniform number drawn for the wedge of a layer; the tail, layer 0, draws its own.
 *
 * It imports its memory (thresholds as i32 at {@link thresholdsAt}, widths as f64 at {@link widthsAt}), the two words of
 * state, and `outside`, which gives NaN where a draw is to be made again.
 */
export const thresholdsAt = 0;
export const widthsAt = 512;
/** Where there is room for results, up to the end of the memory's page. */
export const resultsAt = 2048;
export const pageBytes = 65_536;

export interface NoiseExports {
  readonly bits: () => number;
  readonly normal: (to: number, end: number, deviation: number) => void;
  readonly mask: (to: number, end: number, keptFrom: number, factorBits: number) => void;
}

const i32 = 0x7f;
const i64 = 0x7e;
const f64 = 0x7c;
/** Of the imported words of state. */
const state = [0, 1] as const;

/** Opcodes of the WebAssembly core specification, and the instructions made with them. */
const op = {
  loop: [0x03, 0x40],
  ifThen: [0x04, 0x40],
  ifGives: (type: number) => [0x04, type],
  otherwise: [0x05],
  end: [0x0b],
  againIf: (depth: number) => [0x0d, depth],
  call: (index: number) => [0x10, index],
  get: (local: number) => [0x20, local],
  set: (local: number) => [0x21, local],
  tee: (local: number) => [0x22, local],
  getGlobal: (index: number) => [0x23, index],
  setGlobal: (index: number) => [0x24, index],
  loadI32: (offset: number) => [0x28, 2, ...leb(offset)],
  loadF64: (offset: number) => [0x2b, 3, ...leb(offset)],
  storeI32: [0x36, 2, 0],
  storeF32: [0x38, 2, 0],
  i32Const: (value: number) => [0x41, ...signedLeb(value)],
  i64Const: (value: number) => [0x42, ...signedLeb(value)],
  f64Const: (value: number) => [0x44, ...new Uint8Array(Float64Array.of(value).buffer)],
  i32LessUnsigned: [0x49],
  i32NotLessUnsigned: [0x4f],
  f64Equal: [0x61],
  i32Add: [0x6a],
  i32Subtract: [0x6b],
  i32And: [0x71],
  i32Xor: [0x73],
  i32ShiftLeft: [0x74],
  i32ShiftRight: [0x75],
  i32ShiftRightUnsigned: [0x76],
  i64Add: [0x7c],
  i64Xor: [0x85],
  i64ShiftLeft: [0x86],
  i64RotateLeft: [0x89],
  f64Add: [0xa0],
  f64Multiply: [0xa2],
  wrapI64: [0xa7],
  f64FromI32: [0xb7],
  f32FromF64: [0xb6],
} as const;

/** The module's bytes. */
export function noiseModule(): Uint8Array<ArrayBuffer> {
  const types = [functionType([i32, f64], [f64]), functionType([], [i32])];
  types.push(functionType([i32, i32, f64], []), functionType([i32, i32, i32, i32], []));
  const imports = [
    [...text("host"), ...text("memory"), 2, 0, 1],
    [...text("host"), ...text("s0"), 3, i64, 1],
    [...text("host"), ...text("s1"), 3, i64, 1],
    [...text("host"), ...text("outside"), 0, 0],
  ];
  // Function 0 is the imported one.
  const exports = ["bits", "normal", "mask"].map((name, index) => [...text(name), 0, index + 1]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, types),
    ...section(2, imports),
    ...section(3, [[1], [2], [3]]),
    ...section(7, exports),
    ...section(10, [bitsFunction(), normalFunction(), maskFunction()]),
  ]);
}

/** Locals of all functions, after their parameters. */
interface Locals {
  readonly s0: number;
  readonly s1: number;
  readonly a: number;
  readonly bits: number;
}

/** Draws into a local, from the state in locals. */
function draw({ s0, s1, a, bits }: Locals, to: number = bits): number[] {
  return [
    ...[...op.get(s0), ...op.get(s1), ...op.i64Add, ...op.wrapI64, ...op.set(to)],
    ...[...op.get(s0), ...op.get(s1), ...op.i64Xor, ...op.set(a)],
    ...[...op.get(s0), ...op.i64Const(24), ...op.i64RotateLeft, ...op.get(a), ...op.i64Xor],
    ...[...op.get(a), ...op.i64Const(16), ...op.i64ShiftLeft, ...op.i64Xor, ...op.set(s0)],
    ...[...op.get(a), ...op.i64Const(37), ...op.i64RotateLeft, ...op.set(s1)],
  ];
}

/** Uniform in [0, 1) from two draws, as `SeededRandom.unit`. */
function unitOf(high: number, low: number): number[] {
  const top = (local: number, shift: number) => {
    return [...op.get(local), ...op.i32Const(shift), ...op.i32ShiftRightUnsigned, ...op.f64FromI32];
  };
  return [
    ...[...top(high, 5), ...op.f64Const(2 ** 26), ...op.f64Multiply, ...top(low, 6), ...op.f64Add],
    ...[...op.f64Const(2 ** -53), ...op.f64Multiply],
  ];
}

function loadState({ s0, s1 }: Locals): number[] {
  return [...op.getGlobal(state[0]), ...op.set(s0), ...op.getGlobal(state[1]), ...op.set(s1)];
}

function saveState({ s0, s1 }: Locals): number[] {
  return [...op.get(s0), ...op.setGlobal(state[0]), ...op.get(s1), ...op.setGlobal(state[1])];
}

function bitsFunction(): number[] {
  const locals = { s0: 0, s1: 1, a: 2, bits: 3 };
  return functionBody(
    [i64, i64, i64, i32],
    [...loadState(locals), ...draw(locals), ...saveState(locals), ...op.get(locals.bits)],
  );
}

function normalFunction(): number[] {
  const [to, end, deviation] = [0, 1, 2];
  const locals = { s0: 3, s1: 4, a: 5, bits: 6 };
  const [layer, sign, high, low, x] = [7, 8, 9, 10, 11];
  const amount = [
    ...[...op.get(locals.bits), ...op.i32Const(31), ...op.i32ShiftRight, ...op.set(sign)],
    ...[...op.get(locals.bits), ...op.get(sign), ...op.i32Xor, ...op.get(sign), ...op.i32Subtract],
  ];
  const at = (shift: number) => [...op.get(layer), ...op.i32Const(shift), ...op.i32ShiftLeft];
  const inside = [
    ...op.get(locals.bits),
    ...op.f64FromI32,
    ...at(3),
    ...op.loadF64(widthsAt),
    ...op.f64Multiply,
  ];
  const uniform = [...draw(locals, high), ...draw(locals, low), ...unitOf(high, low)];
  const outside = [
    ...[...op.get(locals.bits), ...op.get(layer)],
    ...[...op.ifGives(f64), ...uniform, ...op.otherwise, ...op.f64Const(0), ...op.end],
    ...[...op.set(x), ...saveState(locals), ...op.get(x), ...op.call(0), ...loadState(locals)],
  ];
  const store = [
    ...[
      ...op.get(to),
      ...op.get(deviation),
      ...op.get(x),
      ...op.f64Multiply,
      ...op.f64Const(1),
      ...op.f64Add,
    ],
    ...[...op.f32FromF64, ...op.storeF32],
    ...[...op.get(to), ...op.i32Const(4), ...op.i32Add, ...op.set(to)],
  ];
  return functionBody(
    [i64, i64, i64, i32, i32, i32, i32, i32, f64],
    [
      ...loadState(locals),
      ...op.loop,
      ...draw(locals),
      ...[...op.get(locals.bits), ...op.i32Const(127), ...op.i32And, ...op.set(layer)],
      ...[...amount, ...at(2), ...op.loadI32(thresholdsAt), ...op.i32LessUnsigned],
      ...[...op.ifGives(f64), ...inside, ...op.otherwise, ...outside, ...op.end],
      ...[...op.tee(x), ...op.get(x), ...op.f64Equal, ...op.ifThen, ...store, ...op.end],
      ...[...op.get(to), ...op.get(end), ...op.i32LessUnsigned, ...op.againIf(0)],
      ...op.end,
      ...saveState(locals),
    ],
  );
}

function maskFunction(): number[] {
  const [to, end, keptFrom, factorBits] = [0, 1, 2, 3];
  const locals = { s0: 4, s1: 5, a: 6, bits: 7 };
  return functionBody(
    [i64, i64, i64, i32],
    [
      ...loadState(locals),
      ...op.loop,
      ...draw(locals),
      // All bits of the factor or none, by 0 − 1 or 0 − 0: a branch would be guessed wrong half of the time.
      ...[
        ...op.get(to),
        ...op.i32Const(0),
        ...op.get(locals.bits),
        ...op.get(keptFrom),
        ...op.i32NotLessUnsigned,
      ],
      ...[...op.i32Subtract, ...op.get(factorBits), ...op.i32And, ...op.storeI32],
      ...[...op.get(to), ...op.i32Const(4), ...op.i32Add, ...op.tee(to)],
      ...[...op.get(end), ...op.i32LessUnsigned, ...op.againIf(0)],
      ...op.end,
      ...saveState(locals),
    ],
  );
}

function functionType(inputs: readonly number[], outputs: readonly number[]): number[] {
  return [0x60, inputs.length, ...inputs, outputs.length, ...outputs];
}

function functionBody(locals: readonly number[], code: readonly number[]): number[] {
  const body = [locals.length, ...locals.flatMap((type) => [1, type]), ...code, ...op.end];
  return [...leb(body.length), ...body];
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  const content = [...leb(entries.length), ...entries.flat()];
  return [id, ...leb(content.length), ...content];
}

function text(name: string): number[] {
  return [name.length, ...Buffer.from(name, "latin1")];
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...leb(value >>> 7)];
}

/** @param value small and not negative */
function signedLeb(value: number): number[] {
  return value < 64 ? [value] : [(value & 127) | 128, ...signedLeb(value >>> 7)];
}
