import type { Command } from './lib/command.ts';
import { type Check, type CheckState, type Examination, examine, statusOf } from './lib/doctor.ts';
import { formatProblem } from './lib/errors.ts';
import { formatDiagnosis } from './lib/findings.ts';
import { outputOf } from './lib/output.ts';
import type { Style, Terminal } from './lib/terminal.ts';

export const command: Command = {
  name: 'doctor',
  summary: 'Check tools, kubeconfig, env files and cluster, and explain what is not healthy.',
  usage: '[OVERLAY] [flags]',
  flags: ['root', 'context', 'sandbox', 'env-file', 'from-process', 'output', 'verbose'],
  positionals: 1,
  notes: [
    'Changes nothing. A check that needs what is missing is skipped; the others are made all the same.',
    'Exit status: 0 all is well (warnings may be there), else the highest of the checks that failed:',
    '2 usage or configuration, 3 a tool or the cluster, 4 not healthy.',
  ].join('\n'),
  async run(session, args) {
    const output = outputOf(args);
    const examination = await examine(session, args);
    const { terminal } = session;
    if (output === 'json') terminal.json(jsonOf(examination));
    else {
      terminal.data(linesOf(examination, terminal).join('\n'));
      terminal.say(summaryOf(examination.checks));
    }
    return statusOf(examination.checks);
  },
};

const colours: Record<CheckState, (style: Style) => (text: string) => string> = {
  ok: (style) => style.green,
  warning: (style) => style.yellow,
  failed: (style) => style.red,
  skipped: (style) => style.dim,
};

function checkLines({ name, state, message, hint, problems = [] }: Check, style: Style): string[] {
  return [
    `${colours[state](style)(state.padEnd(7))}  ${name.padEnd(10)}  ${message}`,
    ...problems.flatMap((problem) => formatProblem(problem).split('\n')).map((line) => `  ${line}`),
    ...(hint ? [`  ${style.bold('next')}: ${hint}`] : []),
  ];
}

function linesOf({ checks, diagnosis, now }: Examination, terminal: Terminal): string[] {
  const { outStyle: style, outIsTerminal, columns } = terminal;
  const lines = checks.flatMap((check) => checkLines(check, style));
  if (diagnosis === undefined) return lines;
  const room = outIsTerminal ? columns : undefined;
  return [...lines, '', ...formatDiagnosis(diagnosis, { style, columns: room, now })];
}

function summaryOf(checks: readonly Check[]): string {
  const failed = checks.filter(({ state }) => state === 'failed').length;
  const warnings = checks.filter(({ state }) => state === 'warning').length;
  const parts = [
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(warnings > 0 ? [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`] : []),
  ];
  return parts.join(', ') || 'all is well';
}

/** Changes within `v1` only ever add fields. */
function jsonOf({ overlay, checks, diagnosis }: Examination): unknown {
  return {
    schema: 'strata.dev/doctor/v1',
    overlay,
    ok: statusOf(checks) === 0,
    checks: checks.map(({ status: _, ...check }) => check),
    diagnosis: diagnosis ?? null,
  };
}
