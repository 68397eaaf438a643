/** What operating systems, file servers and tools leave in folders, and is never part of a collection. */

interface Litter {
  /** What leaves it. */
  readonly by: string;
  /** Names of folders: whatever lies in them is skipped. `*` at either end is any text. */
  readonly folders: readonly string[];
  /** Names of files. */
  readonly files: readonly string[];
}

/**
 * Names are compared without regard to case, for many of these systems write them in either. No plain word is among them: a class
 * may be called `recycled` or `thumbnails`.
 */
export const litter: readonly Litter[] = [
  {
    by: "Synology",
    folders: ["@eaDir", "@tmp", "@sharebin", "@SynoResource", "#recycle", "#snapshot"],
    files: ["*@SynoEAStream", "*@SynoResource"],
  },
  {
    by: "QNAP",
    folders: [
      "@Recycle",
      "@Recently-Snapshot",
      "@Transcode",
      ".@__thumb",
      "@__thumb",
      ".@__qini",
      ".@upload_cache",
    ],
    files: [],
  },
  {
    by: "other file servers",
    folders: [
      ".snapshot",
      ".snapshots",
      "~snapshot",
      ".zfs",
      ".recycle",
      ".recycle-*",
      ".glusterfs",
      "Network Trash Folder",
    ],
    files: [".nfs*", ".fuse_hidden*", ".smbdelete*"],
  },
  {
    by: "Windows",
    folders: ["$RECYCLE.BIN", "System Volume Information", "FOUND.0*", "_vti_*"],
    files: [
      "Thumbs.db",
      "Thumbs.db:*",
      "ehthumbs.db",
      "ehthumbs_vista.db",
      "desktop.ini",
      "*:Zone.Identifier",
    ],
  },
  {
    by: "macOS",
    folders: [
      "__MACOSX",
      ".AppleDouble",
      ".AppleDB",
      ".AppleDesktop",
      ".DocumentRevisions-V100",
      ".fseventsd",
      ".Spotlight-V100",
      ".TemporaryItems",
      ".Trashes",
      "Temporary Items",
      "TheVolumeSettingsFolder",
    ],
    files: ["._*", ".DS_Store", ".apdisk", ".LSOverride", ".VolumeIcon.icns", ".com.apple.*", "Icon\r"],
  },
  {
    by: "Linux desktops",
    folders: ["lost+found", ".Trash", ".Trash-*", ".thumbnails", ".xvpics"],
    files: [".directory"],
  },
  {
    by: "photo and sync programs",
    folders: [".picasaoriginals", ".dtrash", ".stversions", ".stfolder", ".sync", ".dropbox.cache"],
    files: ["Picasa.ini", ".picasa.ini", "ZbThumbnail.info", ".dropbox", "~$*"],
  },
  {
    by: "notebooks and version control",
    folders: [
      ".ipynb_checkpoints",
      "__pycache__",
      ".pytest_cache",
      "node_modules",
      ".git",
      ".svn",
      ".hg",
      ".bzr",
    ],
    files: [],
  },
  {
    by: "Hadoop and Spark",
    folders: ["_temporary"],
    files: ["*_$folder$", "_SUCCESS"],
  },
];

const folderNames = namesOf(litter.flatMap(({ folders }) => folders));
const fileNames = namesOf(litter.flatMap(({ files }) => files));

/**
 * Whether a folder of a key, or its file, is called as systems call what they leave. Only the key below the prefix counts: a prefix that
 * is called so itself was asked for.
 */
export function isLitter(key: string): boolean {
  const slash = key.lastIndexOf("/");
  return (slash >= 0 && isInLitter(key.slice(0, slash))) || fileNames(key.slice(slash + 1));
}

/** Consecutive keys mostly lie in one folder. */
let lastFolder: { readonly path: string; readonly isLitter: boolean } | undefined;

function isInLitter(path: string): boolean {
  if (lastFolder?.path !== path) lastFolder = { path, isLitter: path.split("/").some(folderNames) };
  return lastFolder.isLitter;
}

/** Whether a name is one of those, where `*` at either end is any text. One expression each: millions of keys are asked for. */
function namesOf(names: readonly string[]): (name: string) => boolean {
  const escaped = names.map((name) => name.replaceAll(/[.$+^()[\]{}|\\?]/g, "\\$&"));
  const ends = escaped.filter((name) => name.startsWith("*")).map((name) => name.slice(1));
  const starts = escaped
    .filter((name) => !name.startsWith("*"))
    .map((name) => (name.endsWith("*") ? name.slice(0, -1) : `${name}$`));
  const atStart = new RegExp(`^(?:${starts.join("|")})`, "i");
  if (ends.length === 0) return (name) => atStart.test(name);
  const atEnd = new RegExp(`(?:${ends.join("|")})$`, "i");
  return (name) => atStart.test(name) || atEnd.test(name);
}
