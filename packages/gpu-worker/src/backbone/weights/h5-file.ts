/**
 * The few HDF5 calls needed to read weights, on the library's low-level functions: its own reading classes ignore the status
 * of a read and would return whatever was in memory before. Used only on a separate thread.
 */

/** The part of h5wasm's module that is used. */
export interface H5Library {
  readonly HEAPU8: Uint8Array;
  readonly FS: { writeFile(path: string, data: Uint8Array, options: { canOwn: boolean }): void };
  readonly H5G_GROUP: number;
  open(path: string, mode: number): bigint;
  get_type(file: bigint, path: string): number;
  get_attribute_names(file: bigint, path: string): string[];
  get_attribute_metadata(file: bigint, path: string, name: string): H5Metadata;
  get_attribute_data(file: bigint, path: string, name: string, pointer: bigint): number;
  get_dataset_metadata(file: bigint, path: string): H5Metadata;
  get_dataset_data(
    file: bigint,
    path: string,
    count: null,
    offset: null,
    strides: null,
    pointer: bigint,
  ): number;
  UTF8ToString(pointer: number, maxBytes: number): string;
  _malloc(sizeBytes: number): number;
  _free(pointer: number): void;
}

interface H5Metadata {
  /** The class of the type: see {@link typeClasses}. */
  readonly type: number;
  /** Size of one element in bytes. */
  readonly size: number;
  readonly vlen: boolean;
  readonly strpad?: number;
  /** null for an empty dataspace. */
  readonly shape: readonly number[] | null;
  readonly total_size: number;
  readonly virtual_sources?: readonly unknown[];
}

/** H5T_class_t and H5T_str_t of the format. */
const typeClasses = { integer: 0, float: 1, string: 3 } as const;
const spacePadded = 2;
const readOnly = 0;
const maxStringBytes = 1024;
const maxStrings = 50_000;

export interface H5Array {
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** What is wrong with the file; the owner of the thread adds the file's name to the message. */
export class H5Fault extends Error {}

export class H5File {
  readonly #library: H5Library;
  readonly #file: bigint;

  /** The library has a private file system that contains only these bytes, so links to other files do not resolve. */
  constructor(library: H5Library, bytes: Uint8Array) {
    this.#library = library;
    library.FS.writeFile("/weights.h5", bytes, { canOwn: true });
    this.#file = library.open("/weights.h5", readOnly);
    if (this.#file < 0n) throw new H5Fault("it is not a complete HDF5 file");
  }

  isGroup(path: string): boolean {
    return this.#library.get_type(this.#file, path) === this.#library.H5G_GROUP;
  }

  /** A list of strings; if it is too large for one attribute, Keras splits it into `name0`, `name1`, … */
  strings(path: string, name: string): string[] | undefined {
    const present = new Set(this.#library.get_attribute_names(this.#file, path));
    if (present.has(name)) return this.#stringsOf(path, name);
    if (!present.has(`${name}0`)) return undefined;
    const all: string[] = [];
    for (let part = 0; present.has(`${name}${part}`); part++) {
      all.push(...this.#stringsOf(path, `${name}${part}`));
      if (all.length > maxStrings) throw new H5Fault(`${path} lists more than ${maxStrings} names`);
    }
    return all;
  }

  #stringsOf(path: string, name: string): string[] {
    const metadata = this.#library.get_attribute_metadata(this.#file, path, name);
    const { type, size, vlen, strpad, shape, total_size: count } = metadata;
    // Keras writes the names of a layer without weights as an empty list of float64.
    if (shape === null || count === 0) return [];
    if (type !== typeClasses.string) throw new H5Fault(`${name} of ${path} does not contain strings`);
    if (!(count > 0 && count <= maxStrings) || (!vlen && !(size <= maxStringBytes))) {
      throw new H5Fault(`${name} of ${path} lists ${count} strings of ${size} bytes`);
    }
    return this.#withMemory(count * size, (pointer) => {
      const status = this.#library.get_attribute_data(this.#file, path, name, BigInt(pointer));
      if (status < 0) throw new H5Fault(`${name} of ${path} cannot be read`);
      return vlen ? this.#pointedTexts(pointer, count) : this.#fixedTexts(pointer, count, size, strpad);
    });
  }

  /** The library frees this memory only when the thread ends. */
  #pointedTexts(pointer: number, count: number): string[] {
    const pointers = new Uint32Array(this.#library.HEAPU8.slice(pointer, pointer + count * 4).buffer);
    return [...pointers].map((at) => (at === 0 ? "" : this.#library.UTF8ToString(at, maxStringBytes)));
  }

  #fixedTexts(pointer: number, count: number, size: number, strpad: number | undefined): string[] {
    const decoder = new TextDecoder();
    return Array.from({ length: count }, (_, index) => {
      const start = pointer + index * size;
      const bytes = this.#library.HEAPU8.subarray(start, start + size);
      const zero = bytes.indexOf(0);
      const text = decoder.decode(bytes.slice(0, zero < 0 ? size : zero));
      return strpad === spacePadded ? text.trimEnd() : text;
    });
  }

  array(path: string): H5Array {
    const metadata = this.#library.get_dataset_metadata(this.#file, path);
    const { type, size, shape, virtual_sources: virtual } = metadata;
    if (virtual !== undefined) throw new H5Fault(`${path} is a virtual dataset, composed of others`);
    if (shape === null) throw new H5Fault(`${path} is empty`);
    const kind = type === typeClasses.float ? "float" : type === typeClasses.integer ? "int" : undefined;
    return { shape: [...shape], dtype: kind === undefined ? `class ${type}` : `${kind}${size * 8}` };
  }

  /** The bytes of an array, little-endian. @param sizeBytes size by its shape and dtype */
  bytes(path: string, sizeBytes: number): Uint8Array {
    const { size, total_size: count } = this.#library.get_dataset_metadata(this.#file, path);
    if (size * count !== sizeBytes) throw new H5Fault(`${path} has another size than before`);
    return this.#withMemory(sizeBytes, (pointer) => {
      const at = BigInt(pointer);
      const status = this.#library.get_dataset_data(this.#file, path, null, null, null, at);
      if (status < 0) throw new H5Fault(`${path} cannot be read: its bytes are damaged or missing`);
      return this.#library.HEAPU8.slice(pointer, pointer + sizeBytes);
    });
  }

  #withMemory<T>(sizeBytes: number, use: (pointer: number) => T): T {
    const pointer = this.#library._malloc(Math.max(sizeBytes, 8));
    if (pointer === 0) throw new H5Fault(`${sizeBytes} bytes do not fit into the reader's memory`);
    try {
      return use(pointer);
    } finally {
      this.#library._free(pointer);
    }
  }
}
