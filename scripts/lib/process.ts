import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemCode } from './errors.ts';
import type { Clock } from './session.ts';

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Absolute path of an executable found by PATH, or undefined. */
export function findOnPath(
  name: string,
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  return (environment.PATH ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, name))
    .find(isExecutable);
}

/** A pid alone is reused sooner or later; together with its time of birth it names one process. */
export interface ProcessRecord {
  pid: number;
  /** Opaque: boot and start time on Linux, start time elsewhere. */
  born: string;
}

/** Read by `sh` in the child as well, so that both sides see the same text. */
const bootIdFile = '/proc/sys/kernel/random/boot_id';

/**
 * The child records itself before it becomes the program: however early the parent is killed, there is no process
 * without a record, and where the folder of the record is gone there is no process.
 */
const recordThenExec = `umask 077
if [ -r /proc/$$/stat ]; then
  read -r boot <${bootIdFile}; read -r born </proc/$$/stat
else
  boot=; born=$(PATH="$PATH:/usr/bin:/bin" LC_ALL=C TZ=UTC ps -o lstart= -p $$)
fi
printf '%s\\n%s\\n%s\\n' "$$" "$boot" "$born" >"$0.new" && PATH="$PATH:/usr/bin:/bin" mv "$0.new" "$0" && exec "$@"`;

const recordSuffix = '.pid';

/** Start time in clock ticks; undefined for a process that is dead and only not yet collected. */
function bornFromStat(stat: string): string | undefined {
  // The second field is the program's name in brackets and may itself hold blanks and brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Who has this pid now, or undefined when nobody has. */
export function processWithPid(pid: number): ProcessRecord | undefined {
  try {
    if (process.platform === 'linux') {
      const started = bornFromStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
      const boot = readFileSync(bootIdFile, 'utf8').trim();
      return started === undefined ? undefined : { pid, born: `${boot} ${started}` };
    }
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
    const [, state, born] = /^(\S+)\s+(.+)$/.exec(line) ?? [];
    return state === undefined || born === undefined || state.startsWith('Z') ? undefined : { pid, born };
  } catch {
    return undefined;
  }
}

export function parseRecord(text: string): ProcessRecord | undefined {
  const [pidLine, boot, bornLine] = text.split('\n');
  const pid = Number(pidLine);
  if (!Number.isInteger(pid) || pid <= 1 || !bornLine) return undefined;
  const started = boot ? bornFromStat(bornLine) : bornLine.trim();
  return started === undefined ? undefined : { pid, born: boot ? `${boot} ${started}` : started };
}

export function isRunning(record: ProcessRecord): boolean {
  return processWithPid(record.pid)?.born === record.born;
}

export interface RecordedCommand {
  /** Where the record goes; the folder must exist. */
  folder: string;
  name: string;
  file: string;
  args: readonly string[];
  cwd: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** Both outputs are appended here; without it they are pipes. */
  log?: string;
}

/** Starts a program in a process group of its own that outlives this process. */
export function spawnRecorded(command: RecordedCommand): ChildProcess {
  const log = command.log === undefined ? undefined : openSync(command.log, 'a', 0o600);
  const output = log ?? 'pipe';
  try {
    const record = path.join(command.folder, `${command.name}${recordSuffix}`);
    const child = spawn('/bin/sh', ['-c', recordThenExec, record, command.file, ...command.args], {
      cwd: command.cwd,
      env: command.environment,
      detached: true,
      stdio: ['ignore', output, output],
    });
    if (log !== undefined) child.unref();
    return child;
  } finally {
    if (log !== undefined) closeSync(log);
  }
}

/** Every readable record of a folder by name; an absent folder has none. */
export function readRecords(folder: string): Map<string, ProcessRecord> {
  const records = new Map<string, ProcessRecord>();
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return records;
    throw error;
  }
  for (const name of names) {
    if (!name.endsWith(recordSuffix)) continue;
    const record = parseRecord(readFileSync(path.join(folder, name), 'utf8'));
    if (record) records.set(name.slice(0, -recordSuffix.length), record);
  }
  return records;
}

/** To the whole group, unless the pid belongs to someone else by now. */
export function signalRecorded(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isRunning(record)) return;
  try {
    process.kill(-record.pid, signal);
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
}

const patience = 5000;
const pollInterval = 15;

async function waitUntilGone(
  clock: Clock,
  records: readonly ProcessRecord[],
  limit: number,
): Promise<boolean> {
  const deadline = clock.now() + limit;
  while (records.some(isRunning)) {
    if (clock.now() > deadline) return false;
    await clock.sleep(pollInterval);
  }
  return true;
}

/** SIGTERM, and SIGKILL for what is left after five seconds. Returns the pids that survived even that. */
export async function stopProcesses(clock: Clock, records: readonly ProcessRecord[]): Promise<number[]> {
  for (const record of records) signalRecorded(record, 'SIGTERM');
  if (await waitUntilGone(clock, records, patience)) return [];
  for (const record of records) signalRecorded(record, 'SIGKILL');
  await waitUntilGone(clock, records, patience);
  return records.filter(isRunning).map((record) => record.pid);
}
