import { type Canary, makeCanary } from './canary.ts';

/** Where the hooks of the manifest point. */
export interface Targets {
  /** Answers by the path's beginning: `/ok`, `/fail`, `/moved`, and echoes what it was sent. */
  readonly echo: string;
  /** Has a certificate that nobody trusts. */
  readonly untrusted: string;
}

/** A manifest with a secret in every place that takes one. */
export interface CanaryManifest {
  readonly text: string;
  /** Values of Secrets: only rows of Secrets, and what shows whole Secrets, may hold them. */
  readonly secret: readonly Canary[];
  /** Paths of URLs that stand in the manifest in the clear: only what shows whole specs may hold them. */
  readonly clear: readonly Canary[];
  /** What signs inbound events. */
  readonly sourceSecret: string;
  /** Values of the Secrets, as their rows hold them. */
  readonly stored: readonly string[];
  /** Hooks of both TaskSpawners together. */
  readonly hookCount: number;
}

export function canaryManifest({ echo, untrusted }: Targets): CanaryManifest {
  const secret: Canary[] = [];
  const clear: Canary[] = [];
  const hidden = (place: string, middle?: string): string => {
    const canary = makeCanary(place, middle);
    secret.push(canary);
    return canary.value;
  };
  const plainUrl = (): string => {
    const canary = makeCanary('the path of a plain URL', '?key=');
    clear.push(canary);
    return `${echo}/ok/${canary.value}`;
  };
  const chatUrl = (origin: string, place: string): string => `${origin}/${hidden(place, '?key=')}`;

  const sourceSecret = hidden('the secret of a source');
  const urls = {
    ok: chatUrl(`${echo}/ok`, 'urlFrom'),
    fail: chatUrl(`${echo}/fail`, 'urlFrom of a failing receiver'),
    moved: chatUrl(`${echo}/moved`, 'urlFrom of a receiver that redirects'),
    untrusted: chatUrl(untrusted, 'urlFrom of a receiver nobody trusts'),
    closed: chatUrl('https://127.0.0.1:1', 'urlFrom of a closed port'),
    forbidden: chatUrl('https://169.254.169.254', 'urlFrom of a forbidden address'),
    plaintext: chatUrl('http://127.0.0.1:1', 'urlFrom without TLS'),
    userinfo: `https://user:${hidden('userinfo in urlFrom')}@127.0.0.1:1/`,
    garbage: hidden('urlFrom that is no URL'),
  };
  const hooks = {
    first: [
      hook(
        'ok',
        fromSecret('ok'),
        'secretRef: {name: headers}',
        'signing: {secretRef: {name: keys, key: right}}',
      ),
      hook('fail', fromSecret('fail'), 'secretRef: {name: headers}'),
      hook('moved', fromSecret('moved'), 'secretRef: {name: headers}'),
      hook('userinfo', fromSecret('userinfo')),
      hook('garbage', fromSecret('garbage')),
      hook('plain', `url: "${plainUrl()}"`, 'secretRef: {name: headers}'),
      hook('untrusted', fromSecret('untrusted')),
      hook('bad-header', `url: "${plainUrl()}"`, 'secretRef: {name: bad-headers}'),
    ],
    second: [
      hook('bad-key', `url: "${plainUrl()}"`, 'signing: {secretRef: {name: keys, key: wrong}}'),
      hook('closed', fromSecret('closed')),
      hook('plaintext', fromSecret('plaintext')),
      hook('forbidden', fromSecret('forbidden')),
      hook('elsewhere', `url: "${plainUrl()}"`, 'secretRef: {name: for-others}'),
    ],
  };
  const signingKeys = ['the new signing key', 'the old signing key'].map(
    (place) => `whsec_${Buffer.from(hidden(place)).toString('base64')}`,
  );
  const stored: string[] = [];
  const secretManifest = (name: string, values: Values, metadata: readonly string[] = []): string => {
    stored.push(...Object.values(values).map((value) => Buffer.from(value).toString('base64')));
    return secretText(name, values, metadata);
  };
  const lastApplied = hidden('what kubectl applied last');
  stored.push(lastApplied);
  const privateKey = `BEGIN\n${hidden('a line of a credential')}\nEND`;
  const text = [
    secretManifest('urls', urls),
    secretManifest('headers', {
      Authorization: `Bearer ${hidden('an Authorization header')}`,
      'X-Odd': hidden('a header with odd characters', '"/+&=\\ %'),
    }),
    secretManifest('bad-headers', { 'X-Bad': `${hidden('a header with a line break')}\r\nX-Evil: 1` }),
    secretManifest('for-others', { 'X-Other': hidden('a header for other origins') }, [
      'annotations:',
      '  telos.dev/hook-origins: https://elsewhere.example',
      `  kubectl.kubernetes.io/last-applied-configuration: ${JSON.stringify(lastApplied)}`,
    ]),
    secretManifest('keys', { right: signingKeys.join(' '), wrong: `whsek_${hidden('a wrong signing key')}` }),
    secretManifest('source', { key: sourceSecret }),
    secretManifest('credentials', {
      AGENT_TOKEN: hidden('credentials of a Task'),
      PRIVATE_KEY: privateKey,
    }),
    secretManifest('env', { token: hidden('env of a Task') }),
    secretManifest('git', { GITHUB_TOKEN: hidden('the secretRef of a Workspace') }),
    secretManifest('mcp', { authorization: hidden('the secretRef of an AgentConfig') }),
    `apiVersion: kelos.dev/v1alpha2
kind: Workspace
metadata: {name: repo}
spec: {repo: "https://github.com/acme/app.git", secretRef: {name: git}}`,
    `apiVersion: kelos.dev/v1alpha2
kind: AgentConfig
metadata: {name: tools}
spec:
  mcpServers: [{name: a, type: http, url: "https://mcp.example", headersFrom: {secretRef: {name: mcp}}}]`,
    spawnerManifest('first', hooks.first, chatter),
    spawnerManifest('second', hooks.second, quiet),
  ].join('\n---\n');
  return { text, secret, clear, sourceSecret, stored, hookCount: hooks.first.length + hooks.second.length };
}

function hook(name: string, ...webhook: readonly string[]): string {
  return [`- name: ${name}`, '  webhook:', ...webhook.map((line) => `    ${line}`)].join('\n');
}

function fromSecret(key: string): string {
  return `urlFrom: {secretKeyRef: {name: urls, key: ${key}}}`;
}

type Values = Readonly<Record<string, string>>;

function secretText(name: string, values: Values, metadata: readonly string[]): string {
  return [
    'apiVersion: v1',
    'kind: Secret',
    'metadata:',
    ...[`name: ${name}`, ...metadata].map((line) => `  ${line}`),
    'stringData:',
    ...Object.entries(values).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`),
  ].join('\n');
}

/** Its program says everything it knows, in its outputs and on its last line, and fails. */
const chatter = [
  'printenv',
  'echo ---KELOS_OUTPUTS_START---',
  'echo "token: $AGENT_TOKEN"; echo "$ENV_TOKEN"; echo "github: $GITHUB_TOKEN"; echo "proxy: $HTTPS_PROXY"',
  'echo "$PRIVATE_KEY"',
  'echo ---KELOS_OUTPUTS_END---',
  'echo "$PRIVATE_KEY" "$GITHUB_TOKEN" | tail -n 2 | head -n 1',
  'exit 3',
].join('; ');

/** Its program is given the same and says nothing of it: what its log shows is not the program's doing. */
const quiet = 'echo quiet; exit 3';

function spawnerManifest(name: string, hooks: readonly string[], program: string): string {
  return `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata: {name: ${name}}
spec:
  when:
    webhook: {source: events, fieldMapping: {id: $.id}, secretRef: {name: source, key: key}}
  taskTemplate:
    type: command
    image: busybox
    command: [sh, -c, ${JSON.stringify(program)}]
    credentials: {type: api-key, secretRef: {name: credentials}}
    env: [{name: ENV_TOKEN, valueFrom: {secretKeyRef: {name: env, key: token}}}]
  onCompletion:
    hooks:
${hooks.join('\n').replaceAll(/^/gm, '      ')}`;
}
