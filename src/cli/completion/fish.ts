import type { CommandWords, FlagWords } from './command-words.ts';

/** A completion script for fish: commands, flags, kinds, and names out of the store. */
export function fishCompletion(commands: readonly CommandWords[], kindWords: readonly string[]): string {
  const lines = commands.flatMap((command) => commandLines(command, kindWords));
  return `# fish completion for telos. Load it with: telos completion fish | source
function __telos_path
  set -l path
  for word in (commandline -opc)[2..]
    string match -q -- '-*' $word; or set -a path $word
  end
  echo "$path"
end
function __telos_at
  set -l path (__telos_path)
  test "$path" = "$argv[1]"; or string match -q -- "$argv[1] *" "$path"
end
complete -c telos -f
${lines.join('\n')}
`;
}

function commandLines(command: CommandWords, kindWords: readonly string[]): string[] {
  const { path, subcommands, flags, argument } = command;
  const exactly = `test (__telos_path) = '${path}'`;
  const here = path === '' ? exactly : `__telos_at '${path}'`;
  return [
    ...subcommands.map(
      ({ name, description }) => `complete -c telos -n "${exactly}" -a ${name} -d ${quoted(description)}`,
    ),
    ...argumentWords(argument, kindWords).map((words) => `complete -c telos -n "${here}" -a ${words}`),
    ...flags.map((flag) => `complete -c telos -n "${here}" ${flagWords(flag)}`),
  ];
}

function argumentWords(argument: CommandWords['argument'], kindWords: readonly string[]): string[] {
  switch (argument) {
    case 'kind':
      return [quoted(kindWords.join(' '))];
    case 'task':
      return [quoted('(telos get tasks -o name 2>/dev/null)')];
    case 'taskspawner':
      return [quoted('(telos get taskspawners -o name 2>/dev/null)')];
    case 'delivery':
      return [quoted('(telos get deliveries -o name 2>/dev/null)')];
    case 'shell':
      return [quoted('bash zsh fish')];
    case undefined:
      return [];
  }
}

function flagWords({ long, short, takesValue, description }: FlagWords): string {
  const names = [
    `-l ${long.replace(/^--/, '')}`,
    ...(short === undefined ? [] : [`-s ${short.replace(/^-/, '')}`]),
  ];
  return `${names.join(' ')}${takesValue ? ' -r -F' : ''} -d ${quoted(description)}`;
}

function quoted(text: string): string {
  return `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
}
