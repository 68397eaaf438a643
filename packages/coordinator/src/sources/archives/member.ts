import type { EntryPlace } from "@trommel/common/artefacts";

/** A file within an archive. */
export interface Member {
  /** As the archive has it, without a leading `./`. */
  readonly name: string;
  /** Once it is unpacked. */
  readonly sizeBytes: number;
  readonly place: Pick<EntryPlace, "range" | "form">;
  /** What a table of images says of it. */
  readonly label?: string | undefined;
  /** Set if it is a link, a pipe or a device. */
  readonly isOther?: boolean;
}

/** The place at which an archive cannot be read, or cannot be read any further. */
export interface Damage {
  readonly offset: number;
  readonly why: string;
}

export type Found = { readonly member: Member } | { readonly damage: Damage };

export function damagedAt(offset: number, why: string): Found {
  return { damage: { offset, why } };
}
