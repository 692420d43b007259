import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { type Answer, type Connection, refusal } from './connection.ts';
import { objectPath, type Resource } from './discovery.ts';
import { StrataError } from './errors.ts';
import { type Inventory, inventoryManager } from './inventory.ts';
import { configMaps } from './live.ts';
import { at, isRecord, listAt, type Reference, stringsAt, textAt } from './manifest.ts';
import { isRunning, processWithPid } from './process.ts';
import { formatDuration, type Session } from './session.ts';

const leases: Resource = {
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  plural: 'leases',
  namespaced: true,
  verbs: [],
};

/** Seconds without a sign of life after which anybody may take the lock. */
const leaseDuration = 30;
/** Milliseconds. The holder gives up well before the others may begin, as client-go's RenewDeadline has it. */
const renewInterval = (leaseDuration * 1000) / 3;
const renewDeadline = (leaseDuration * 1000 * 2) / 3;
const renewPatience = 5000;
const retryPause = 1000;
const releasePatience = 2000;
const firstPoll = 250;
const longestPoll = 2000;

/** Names the process for others on the same kernel and in the same pid namespace. */
const processAnnotation = 'strata.dev/process';

export const leaseReference = ({ namespace, name }: Inventory): Reference => ({
  group: leases.group,
  kind: leases.kind,
  namespace,
  name,
});

export interface LeaseOptions {
  /** `up`, `down`: for the hint. */
  command: string;
  /** Take it at once, whoever holds it. */
  steal: boolean;
  /** Milliseconds to wait for another holder. */
  timeout: number;
  /** resourceVersion of the inventory that the plan was made from; undefined when there was none. */
  plannedVersion: string | undefined;
  /** For a namespace that is missing; without it there is nothing to lock then. */
  createNamespace?: () => Promise<void>;
  /** So at the time of the plan. */
  isNamespaceMissing?: boolean;
}

export interface Holding {
  /** Its signal is aborted, too, when somebody else has taken the lock: then nothing more may begin. */
  session: Session;
  /** Somebody else deployed since the plan was made. */
  isPlanStale: boolean;
}

/**
 * Runs `work` while no other process deploys this overlay, wherever that process runs: a Lease in the namespace,
 * renewed meanwhile and deleted at the end. Who holds it is waited for. Where leases may not be used, a note is all.
 * @throws StrataError LOCKED when the other one does not end in time, and when the lock was lost meanwhile
 */
export async function withLease<T>(
  session: Session,
  connection: Connection,
  inventory: Inventory,
  options: LeaseOptions,
  work: (holding: Holding) => Promise<T>,
): Promise<T> {
  const lock = new Lock(session, connection, inventory, options);
  let isHeld: boolean;
  try {
    isHeld = await lock.acquire();
  } catch (error) {
    // It may have been taken by a request whose answer never came.
    await lock.release();
    throw error;
  } finally {
    session.terminal.live([]);
  }
  const lost = new AbortController();
  const ended = new AbortController();
  const signal = AbortSignal.any([session.signal, lost.signal]);
  if (isHeld) lock.keep(ended.signal, (error) => lost.abort(error));
  try {
    const isPlanStale = await hasMoved(connection, inventory, options.plannedVersion);
    return await work({ session: { ...session, signal }, isPlanStale });
  } catch (error) {
    // What broke because the lock is gone is told as that.
    throw lost.signal.aborted && !session.signal.aborted ? lost.signal.reason : error;
  } finally {
    ended.abort();
    if (isHeld && !lost.signal.aborted) await lock.release();
  }
}

/** Every deployment writes the inventory. */
async function hasMoved(
  connection: Connection,
  inventory: Inventory,
  plannedVersion: string | undefined,
): Promise<boolean> {
  const parent = await connection.get(objectPath(configMaps, inventory.namespace, inventory.name));
  return textAt(parent, 'metadata', 'resourceVersion') !== plannedVersion;
}

/** Where a pid means the same process: this boot of this kernel, this pid namespace. Linux only. */
function processSpace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return undefined;
  }
}

/** `space pid born`, or undefined where two machines could be mistaken for each other. */
export function ownProcess(): string | undefined {
  const space = processSpace();
  const own = processWithPid(process.pid);
  return space && own && `${space} ${own.pid} ${own.born}`;
}

/** True only for a process that could be seen from here, and is not there any more. */
export function isGone(recorded: string | undefined): boolean {
  const own = ownProcess();
  const [space, pid, boot, started] = recorded?.split(' ') ?? [];
  const [ownSpace, , ownBoot] = own?.split(' ') ?? [];
  if (!space || !boot || !started || space !== ownSpace || boot !== ownBoot) return false;
  return !isRunning({ pid: Number(pid), born: `${boot} ${started}` });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A uid that has no name, as in many containers.
    return `uid ${process.getuid?.()}`;
  }
}

/** It comes from the cluster: whoever wrote it may not write to the terminal. */
const printable = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 120);

const microTime = (): string => new Date().toISOString().replace('Z', '000Z');

class Lock {
  private readonly session: Session;
  private readonly connection: Connection;
  private readonly inventory: Inventory;
  private readonly options: LeaseOptions;
  private readonly identity: string;
  private readonly path: string;
  /** As the server last gave it. */
  private live: unknown;
  private acquiredAt = microTime();

  constructor(session: Session, connection: Connection, inventory: Inventory, options: LeaseOptions) {
    this.session = session;
    this.connection = connection;
    this.inventory = inventory;
    this.options = options;
    // A pid alone is the same in every container.
    this.identity = `${userName()}@${hostname()} pid ${process.pid} (${randomBytes(4).toString('hex')})`;
    this.path = objectPath(leases, inventory.namespace, inventory.name);
  }

  /** False when leases may not be used here, or there is no namespace to lock. */
  async acquire(): Promise<boolean> {
    const { clock, terminal, signal } = this.session;
    const started = clock.now();
    // As client-go does: clocks differ between machines, so only the time since the record was last seen to change counts.
    // https://pkg.go.dev/k8s.io/client-go/tools/leaderelection
    let seen = { version: '', at: 0 };
    let told = '';
    let outcome = await this.create();
    for (let pause = firstPoll; outcome === 'taken'; ) {
      const holder = printable(this.holder());
      const version = textAt(this.live, 'metadata', 'resourceVersion') ?? '';
      if (version !== seen.version) seen = { version, at: clock.now() };
      const why = this.reasonToTake(clock.now() - seen.at);
      if (why !== undefined && (await this.write())) {
        if (why !== '') terminal.say(`  took the lock over from ${holder}: ${why}`);
        return true;
      }
      if (why === undefined) {
        if (clock.now() - started > this.options.timeout) throw this.stillLocked();
        if (holder !== told)
          terminal.say(`waiting for ${this.describeHolder()}; --steal-lock does not wait, Ctrl-C ends`);
        told = holder;
        terminal.live([`  waiting for ${holder}  ${formatDuration(clock.now() - started)}`]);
        await clock.sleep(pause, signal);
        pause = Math.min(pause * 1.5, longestPoll);
      }
      this.live = await this.connection.get(this.path);
      if (this.live === undefined) outcome = await this.create();
    }
    return outcome === 'held';
  }

  private holder(): string {
    return textAt(this.live, 'spec', 'holderIdentity') ?? '';
  }

  private describeHolder(): string {
    const since = textAt(this.live, 'spec', 'acquireTime')?.replace(/\.\d+Z$/, 'Z');
    const { overlay } = this.inventory;
    return `${printable(this.holder())}, at work on overlay ${overlay}${since ? ` since ${printable(since)} by its clock` : ''}`;
  }

  private stillLocked(): StrataError {
    const { command, timeout } = this.options;
    return new StrataError(
      'LOCKED',
      `locked by ${this.describeHolder()}, and still so after ${formatDuration(timeout)}; nothing was changed`,
      {
        hint: `wait for it; if it is known to be gone: npm run ${command} -- ${this.inventory.overlay} --steal-lock`,
      },
    );
  }

  /** Empty when nobody holds it, undefined when somebody does. */
  private reasonToTake(unchangedFor: number): string | undefined {
    const holder = this.holder();
    if (holder === '') return '';
    if (this.options.steal) return '--steal-lock';
    if (isGone(stringsAt(this.live, 'metadata', 'annotations')[processAnnotation]))
      return 'it no longer runs';
    const seconds = Number(at(this.live, 'spec', 'leaseDurationSeconds')) || leaseDuration;
    return unchangedFor > seconds * 1000 ? `no sign of life for ${seconds} s` : undefined;
  }

  private async create(): Promise<'held' | 'taken' | 'not lockable'> {
    const { connection, options, session, inventory } = this;
    const started = session.clock.now();
    if (options.isNamespaceMissing) await options.createNamespace?.();
    const request = {
      method: 'POST' as const,
      path: `${this.path.slice(0, this.path.lastIndexOf('/'))}?fieldManager=${inventoryManager}`,
      body: this.body(),
      // A second one finds the first: the holder's name is this run's alone.
      repeatable: true,
    };
    for (;;) {
      const answer = await connection.request(request);
      if (answer.status < 300) {
        this.live = answer.body;
        return 'held';
      }
      if (answer.status === 409) {
        this.live = await connection.get(this.path);
        if (this.live === undefined) continue;
        return this.holder() === this.identity ? 'held' : 'taken';
      }
      if (isWithoutNamespace(answer)) {
        if (!options.createNamespace) return 'not lockable';
        if (session.clock.now() - started > options.timeout)
          throw refusal(connection.context, request, answer);
        await session.clock.sleep(firstPoll, session.signal);
        // While the old one is going, this finds it there.
        await options.createNamespace();
        continue;
      }
      if (answer.status !== 403 && answer.status !== 404) throw refusal(connection.context, request, answer);
      session.terminal.say(
        `  not locked: leases may not be used in namespace ${inventory.namespace} (${textAt(answer.body, 'message') ?? answer.status}); another run is not noticed`,
      );
      return 'not lockable';
    }
  }

  /** @param over what it replaces; without the uid the API server would make a Lease that is gone anew. */
  private body(over?: unknown): unknown {
    const recorded = ownProcess();
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: {
        name: this.inventory.name,
        namespace: this.inventory.namespace,
        ...(recorded ? { annotations: { [processAnnotation]: recorded } } : {}),
        ...(over === undefined
          ? {}
          : {
              resourceVersion: textAt(over, 'metadata', 'resourceVersion'),
              uid: textAt(over, 'metadata', 'uid'),
            }),
      },
      spec: {
        holderIdentity: this.identity,
        leaseDurationSeconds: leaseDuration,
        acquireTime: this.acquiredAt,
        renewTime: microTime(),
      },
    };
  }

  /** Compare and swap: over the object as it was last seen, and no other. False when it has changed since. */
  private async write(urgent?: number): Promise<boolean> {
    const request = {
      method: 'PUT' as const,
      path: `${this.path}?fieldManager=${inventoryManager}`,
      body: this.body(this.live),
      ...(urgent === undefined ? {} : { urgent }),
    };
    const answer = await this.connection.request(request);
    if (answer.status === 404 || answer.status === 409) return false;
    if (answer.status >= 300) throw refusal(this.connection.context, request, answer);
    this.live = answer.body;
    return true;
  }

  /** Renews until `ended`; `onLost` once, when somebody else has it or could have it. */
  keep(ended: AbortSignal, onLost: (error: StrataError) => void): void {
    const { clock } = this.session;
    let renewedAt = clock.now();
    let failure: unknown;
    const lose = (why: string, cause?: unknown): void => {
      if (!ended.aborted) onLost(this.lost(why, cause));
    };
    const renew = async (): Promise<void> => {
      for (let pause = renewInterval; ; ) {
        await clock.sleep(pause, ended);
        const sentAt = clock.now();
        const holder = await this.renew(ended).catch((error: unknown) => {
          failure = error;
          return undefined;
        });
        if (holder === this.identity) renewedAt = sentAt;
        else if (holder !== undefined) return lose(`${printable(holder)} has taken it`);
        pause = holder === undefined ? retryPause : renewInterval;
      }
    };
    // On its own, for a process that was stopped in between may not go on before it has asked.
    const guard = async (): Promise<void> => {
      for (;;) {
        const left = renewedAt + renewDeadline - clock.now();
        if (left <= 0) return lose(`it could not be renewed for ${formatDuration(renewDeadline)}`, failure);
        await clock.sleep(left, ended);
      }
    };
    renew().catch(() => {});
    guard().catch(() => {});
  }

  /** Who holds it afterwards. */
  private async renew(ended: AbortSignal): Promise<string> {
    if (await this.write(renewPatience)) return this.identity;
    // It was released meanwhile.
    if (ended.aborted) return this.identity;
    // The answer to a write of our own may have been lost; somebody may have deleted it.
    const answer = await this.connection.request({ method: 'GET', path: this.path, urgent: renewPatience });
    if (answer.status < 300) {
      this.live = answer.body;
      const holder = this.holder() || 'nobody';
      if (holder === this.identity) await this.write(renewPatience);
      return holder;
    }
    const again = await this.connection.request({
      method: 'POST',
      path: this.path.slice(0, this.path.lastIndexOf('/')),
      body: this.body(),
      urgent: renewPatience,
    });
    if (again.status < 300) this.live = again.body;
    // Where the namespace goes, nobody else can lock it either.
    if (again.status < 300 || isWithoutNamespace(again)) return this.identity;
    throw refusal(this.connection.context, { method: 'POST', path: this.path }, again);
  }

  private lost(why: string, cause: unknown): StrataError {
    const { command } = this.options;
    const said = `the lock of overlay ${this.inventory.overlay} was lost, ${why}; nothing more was begun`;
    // A server that is gone is what has to be mended.
    if (cause instanceof StrataError)
      return new StrataError(cause.code, `${cause.message}; ${said}`, cause.hint ? { hint: cause.hint } : {});
    return new StrataError('LOCKED', said, {
      hint: `see that nobody else is at it, then the same command again finishes the job: npm run ${command} -- ${this.inventory.overlay}`,
    });
  }

  /** Also after an interruption. What cannot be released expires. */
  async release(): Promise<void> {
    if (this.live !== undefined && this.holder() !== this.identity) return;
    const { clock, terminal } = this.session;
    const deadline = clock.now() + releasePatience;
    while (clock.now() < deadline) {
      if (await this.delete().catch(() => false)) return;
      await clock.sleep(200);
    }
    terminal.detail(`the lock could not be released, it expires in ${leaseDuration} s`);
  }

  private async delete(): Promise<boolean> {
    const version = textAt(this.live, 'metadata', 'resourceVersion');
    if (version !== undefined) {
      const answer = await this.connection.request({
        method: 'DELETE',
        path: this.path,
        body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { resourceVersion: version } },
        urgent: releasePatience,
      });
      if (answer.status < 300 || answer.status === 404 || answer.status === 403) return true;
    }
    const answer = await this.connection.request({ method: 'GET', path: this.path, urgent: releasePatience });
    this.live = answer.status < 300 ? answer.body : undefined;
    return answer.status >= 300 || this.holder() !== this.identity;
  }
}

/** The namespace is missing, or it is being deleted: nothing can be made in it. */
function isWithoutNamespace({ status, body }: Answer): boolean {
  if (!isRecord(body)) return false;
  if (status === 404) return textAt(body, 'details', 'kind') === 'namespaces';
  const causes = listAt(body, 'details', 'causes');
  return status === 403 && causes.some((cause) => textAt(cause, 'reason') === 'NamespaceTerminating');
}
