/** Closed list of error codes; the number is the exit status the process ends with. */
export const exitStatuses = {
  USAGE: 2,
  TREE_INVALID: 2,
  OVERLAY_NOT_FOUND: 2,
  CONTRACT_INVALID: 2,
  ENV_INVALID: 2,
  FILE_UNREADABLE: 2,
  FILE_UNWRITABLE: 2,
  CONTEXT_REFUSED: 2,
  KUBECONFIG_INVALID: 2,
  CONFIRMATION_NEEDED: 2,
  PLAN_INVALID: 2,
  SANDBOX_NOT_RUNNING: 2,
  KUBECTL_NOT_FOUND: 3,
  KUBECTL_FAILED: 3,
  RENDER_FAILED: 3,
  VERIFY_FAILED: 3,
  CLUSTER_UNREACHABLE: 3,
  CLUSTER_REFUSED: 3,
  CLUSTER_TOO_OLD: 3,
  CLUSTER_CHANGED: 3,
  CONFLICT: 3,
  PLAN_STALE: 3,
  NOT_OWNED: 3,
  LOCKED: 3,
  DELETE_GUARDED: 3,
  APPLY_FAILED: 3,
  ROLLBACK_IMPOSSIBLE: 3,
  DELETE_FAILED: 3,
  SANDBOX_FAILED: 3,
  NOT_HEALTHY: 4,
  DECLINED: 130,
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof exitStatuses;

export const exitStatusOfBug = 70;

/** One finding about one place. Never holds the value of a secret. */
export interface Problem {
  severity: 'error' | 'warning';
  /** Path as the user would type it from the project root. */
  file?: string;
  /** 1-based. */
  line?: number;
  /** Env key, data key, object reference or field path the finding is about. */
  subject?: string;
  /** What was expected and what was found. */
  message: string;
  /** What to do next, an exact command where possible. */
  hint?: string;
}

export class StrataError extends Error {
  override readonly name = 'StrataError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly problems: readonly Problem[];

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; problems?: readonly Problem[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.problems = options.problems ?? [];
  }

  get exitStatus(): number {
    return exitStatuses[this.code];
  }
}

const collator = new Intl.Collator('en', { numeric: true });

/** By file, then line, then subject; problems without a file come last. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return [...problems].sort(
    (a, b) =>
      collator.compare(a.file ?? '\uffff', b.file ?? '\uffff') ||
      (a.line ?? 0) - (b.line ?? 0) ||
      collator.compare(a.subject ?? '', b.subject ?? ''),
  );
}

const placeText = ({ file, line }: Problem): string =>
  file === undefined ? '' : `${file}${line ? `:${line}` : ''}`;

/** `file:line  subject  message` with the hint on a line of its own. */
export function formatProblem(problem: Problem): string {
  const head = [placeText(problem), problem.subject].filter(Boolean).join('  ');
  const line = `${problem.severity}: ${head ? `${head}: ` : ''}${problem.message}`;
  return problem.hint ? `${line}\n  next: ${problem.hint}` : line;
}

/**
 * Throws one error that carries every problem, unless all of them are warnings.
 * @param hint where to begin unless given: the places of the problems
 */
export function throwOnErrors(
  code: ErrorCode,
  message: string,
  problems: readonly Problem[],
  hint?: string,
): void {
  const sorted = sortProblems(problems);
  const errors = sorted.filter(({ severity }) => severity === 'error');
  if (errors.length === 0) return;
  const places = [...new Set(errors.map(placeText).filter(Boolean))];
  const what = places.length > 0 && places.length <= 3 ? places.join(', ') : 'what is named above';
  throw new StrataError(code, message, {
    problems: sorted,
    hint: hint ?? `correct ${what}, then run the same command again`,
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system error code (`ENOENT`, `EACCES` …) of whatever was thrown. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof StrataError || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
