import { Resolver } from 'node:dns/promises';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type Kind, kindNames, kinds } from '../../api/kinds.ts';
import { errorCode, toError } from '../../base/errors.ts';
import { escapeControls } from '../../base/text.ts';
import { checkFile } from '../../store/sqlite/check-file.ts';
import type { ResourceStore } from '../../store/store.ts';
import { explainError, UsageError } from '../cli-error.ts';
import { type CommandContext, printLine } from '../command-context.ts';
import type { EgressFlags } from '../egress-options.ts';
import { isObjectFormat, printObject } from '../print-resources.ts';
import { formatStoreLocation } from '../store-location.ts';
import { withStore } from '../store-option.ts';

/** What came of one check. `warn` hinders only some uses. */
interface Finding {
  readonly check: string;
  readonly verdict: 'ok' | 'warn' | 'fail';
  /** What was found, and unless it is ok, how to mend it. */
  readonly message: string;
}

/** `telos doctor`: a line for each thing that Telos needs. Returns 1 when one fails. */
export async function doctor(context: CommandContext, flags: EgressFlags): Promise<0 | 1> {
  const findings = [
    ...(await checkStore(context)),
    await checkDns(flags.dnsServer),
    checkClock(context.clock.now()),
    ...(await checkPrograms(context)),
  ];
  if (isObjectFormat(context.options.output)) printObject(context, findings);
  else {
    for (const { check, verdict, message } of findings) {
      printLine(context, `${verdict.padEnd(4)}  ${check}: ${escapeControls(message)}`);
    }
  }
  return findings.some(({ verdict }) => verdict === 'fail') ? 1 : 0;
}

async function checkStore(context: CommandContext): Promise<readonly Finding[]> {
  const { store: location } = context.options;
  const where = formatStoreLocation(location);
  try {
    return await withStore(context, async (store) => {
      await store.ping({ signal: context.signal });
      const found: Finding = { check: 'store', verdict: 'ok', message: where };
      if (location.kind === 'kubernetes')
        return [found, ...(await Promise.all(ownKinds.map((kind) => checkKind(store, kind, context))))];
      checkFile(location.path);
      return [found];
    });
  } catch (thrown) {
    return [{ check: 'store', verdict: 'fail', message: lineOf(thrown) }];
  }
}

/** Those that somebody has to install. */
const ownKinds = kindNames.filter((kind) => kinds[kind].custom);
/** Kinds without which nothing can be told of any Task. */
const needed: ReadonlySet<Kind> = new Set(['Task', 'Delivery']);

/** Whether the API server knows a kind, and lets us see its resources. */
async function checkKind(store: ResourceStore, kind: Kind, context: CommandContext): Promise<Finding> {
  const { plural, group } = kinds[kind];
  const check = `${plural}.${group}`;
  const { namespace } = context.options;
  try {
    await store.list(kind, { namespace, limit: 1, signal: context.signal });
    return { check, verdict: 'ok', message: `seen in namespace ${namespace}` };
  } catch (thrown) {
    return { check, verdict: needed.has(kind) ? 'fail' : 'warn', message: lineOf(thrown) };
  }
}

function lineOf(thrown: unknown): string {
  const [line = toError(thrown).message] = explainError(thrown, false).lines;
  return line.replace(/^error: /, '');
}

/** Answers of a server that works, although it has nothing to say about the root. */
const emptyAnswers: ReadonlySet<string | undefined> = new Set([
  'ENODATA',
  'ENOTFOUND',
  'ENOTIMP',
  'EREFUSED',
  'EFORMERR',
]);

/** Asks for the root's name servers: whatever the answer, it shows that somebody answers. */
async function checkDns(servers: readonly string[] | undefined): Promise<Finding> {
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  if (servers !== undefined && servers.length > 0) useServers(resolver, servers);
  try {
    await resolver.resolveNs('.');
  } catch (thrown) {
    if (!emptyAnswers.has(errorCode(thrown))) {
      const asked = resolver.getServers().join(', ');
      const message = `${asked || 'no server'} does not answer (${errorCode(thrown) ?? toError(thrown).message}): mend /etc/resolv.conf, or name another with --dns-server`;
      return { check: 'dns', verdict: 'fail', message };
    }
  }
  return { check: 'dns', verdict: 'ok', message: `${resolver.getServers().join(', ')} answers` };
}

function useServers(resolver: Resolver, servers: readonly string[]): void {
  try {
    resolver.setServers([...servers]);
  } catch (thrown) {
    throw new UsageError(
      'not the address of a server',
      `--dns-server ${servers.join(',')}`,
      'write IP or IP:PORT',
      {
        cause: thrown,
      },
    );
  }
}

/** Before this the program did not exist. */
const writtenMs = Date.UTC(2026, 0, 1);

/** Signatures and schedules need the right time; certificates too. */
function checkClock(nowMs: number): Finding {
  const shown = new Date(nowMs).toISOString();
  return nowMs >= writtenMs
    ? { check: 'clock', verdict: 'ok', message: shown }
    : { check: 'clock', verdict: 'fail', message: `${shown} cannot be right: set it, or turn NTP on` };
}

/** Programs that Tasks start, and what they are for. */
const programs: readonly { readonly name: string; readonly use: string; readonly remedy: string }[] = [
  { name: 'git', use: 'workspaces', remedy: 'install git' },
  { name: 'claude', use: 'type claude-code', remedy: 'npm install -g @anthropic-ai/claude-code' },
  { name: 'codex', use: 'type codex', remedy: 'npm install -g @openai/codex' },
  { name: 'gemini', use: 'type gemini', remedy: 'npm install -g @google/gemini-cli' },
  { name: 'opencode', use: 'type opencode', remedy: 'npm install -g opencode-ai' },
  { name: 'cursor-agent', use: 'type cursor', remedy: 'install it from cursor.com/cli' },
];

/** On Kubernetes they are in images. */
async function checkPrograms({ options, env }: CommandContext): Promise<readonly Finding[]> {
  if (options.store.kind === 'kubernetes') return [];
  return Promise.all(programs.map((program) => checkProgram(program, env['PATH'] ?? '')));
}

async function checkProgram(
  { name, use, remedy }: (typeof programs)[number],
  searchPath: string,
): Promise<Finding> {
  for (const folder of searchPath.split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return { check: name, verdict: 'ok', message: path };
  }
  return { check: name, verdict: 'warn', message: `not on PATH, needed for ${use}: ${remedy}` };
}
