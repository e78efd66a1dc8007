/** Manifests of Secrets that are wrong in all the ways that people and editors make them wrong. `VALUE` is the value. */
export const badSecretManifests: readonly string[] = [
  // Values that YAML takes for something else.
  ...[
    '*VALUE',
    '&VALUE',
    '!VALUE',
    '!!VALUE x',
    '%VALUE',
    '@VALUE',
    '`VALUE',
    '|VALUE',
    '>VALUE',
    '{VALUE',
    '[VALUE',
    '"VALUE',
    "'VALUE",
    '- VALUE',
    '? VALUE',
    'VALUE: VALUE',
  ].map((text) => stringData(`token: ${text}`)),
  ...[
    '"\\qVALUE"',
    '"VALUE\\',
    '"VALUE" VALUE',
    "'VALUE' VALUE",
    '[VALUE]',
    '{VALUE: VALUE}',
    '{a: VALUE',
    '"VALUE',
    'a: VALUE',
    '"\\xzVALUE"',
    '"\\uzVALUE"',
  ].map((text) => stringData(`token: ${text}`)),
  // Wrong indents, a key without a value, a tab, a line that is none, something behind the end.
  stringData('token: VALUE\n x: VALUE'),
  stringData('token: VALUE\n   x: VALUE'),
  stringData('token: |\n  VALUE\n VALUE'),
  stringData('token\n  VALUE'),
  stringData('token VALUE'),
  stringData('\ttoken: VALUE'),
  stringData('token: VALUE\n}'),
  stringData('token: VALUE\n%VALUE\n'),
  stringData('token: VALUE\n...\nVALUE'),
  stringData('token: VALUE\n--- VALUE\nVALUE'),
  stringData('token: VALUE\n  token: VALUE'),
  stringData('token: VALUE\n  "to\u0007ken": VALUE'),
  // Shapes that a Secret does not have.
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nstringData: VALUE\n',
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nstringData: [VALUE]\n',
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nstringData: {token: {deep: VALUE}}\n',
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ndata: {token: "VALUE !"}\n',
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ndata: {token: [VALUE]}\n',
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nvalue: VALUE\n',
  'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ntype: [VALUE]\ndata: VALUE\n',
  '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"bad"},"stringData":{"token":"VALUE}}',
  '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"bad"},"stringData":{"token":"a"VALUE"}}',
  // The URL of a hook with a password, in each place that a hook may stand.
  spawner('    hooks:\n      - name: chat\n        webhook: {url: "https://user:VALUE@chat.example/x"}'),
  spawner('    hooks:\n      - name: chat\n        webhook: {url: "http://chat.example/VALUE"}'),
  spawner(
    '    hooks:\n      - name: chat\n        webhook: {url: "https://chat.example/VALUE", urls: VALUE}',
  ),
  'apiVersion: kelos.dev/v1alpha2\nkind: Task\nmetadata:\n  name: bad\n  annotations:\n    kelos.dev/on-completion: \'[{"name":"x","webhook":{"url":"https://user:VALUE@chat.example/"}}]\'\nspec: {type: command, command: [x]}\n',
  'apiVersion: kelos.dev/v1alpha2\nkind: Task\nmetadata:\n  name: bad\n  annotations:\n    kelos.dev/on-completion: \'[{"name":"x","webhook":{"url":"https://chat.example/VALUE\'\nspec: {type: command, command: [x]}\n',
];

function stringData(line: string): string {
  return `apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\nstringData:\n  ${line}\n`;
}

function spawner(onCompletion: string): string {
  return `apiVersion: kelos.dev/v1alpha2
kind: TaskSpawner
metadata: {name: bad}
spec:
  when: {cron: {schedule: "0 3 * * *"}}
  taskTemplate: {type: command, command: [x]}
  onCompletion:
${onCompletion}
`;
}
