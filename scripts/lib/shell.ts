/** For a POSIX shell, also one that is no bash. */
export const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/** A word as a person would type it: quoted only where a shell would read something else. */
export const shellWord = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : quote(word));
