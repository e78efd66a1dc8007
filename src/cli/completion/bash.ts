import type { CommandWords } from './command-words.ts';

/** A completion script for bash: commands, flags, kinds, and names out of the store. */
export function bashCompletion(commands: readonly CommandWords[], kindWords: readonly string[]): string {
  const groups = commands.filter(({ subcommands, path }) => path !== '' && subcommands.length > 0);
  const cases = commands.map((command) => bashCase(command, kindWords)).join('');
  return `# bash completion for telos. Load it with: source <(telos completion bash)
_telos_names() {
  telos get "$1" -o name 2>/dev/null | sed "s|^[^/]*/|$2|"
}

_telos() {
  local cur prev word path= index=1 words= flags= values=
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  local kind=
  while [ "$index" -lt "$COMP_CWORD" ]; do
    word=\${COMP_WORDS[index]}
    case "$word" in
      --) return ;;
      -*) ;;
      *)
        if [ -z "$path" ]; then path=$word
        else case "$path" in
          ${groups.map(({ path }) => path).join('|')}) path="$path $word" ;;
          *) [ -n "$kind" ] || kind=$word ;;
        esac; fi ;;
    esac
    index=$((index + 1))
  done
  case "$path" in
${cases}  esac
  case " $values " in *" $prev "*)
    COMPREPLY=()
    type compopt >/dev/null 2>&1 && compopt -o default
    return ;;
  esac
  case "$cur" in -*) words=$flags ;; esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _telos telos
`;
}

function bashCase(command: CommandWords, kindWords: readonly string[]): string {
  const flags = command.flags.flatMap(({ long, short }) => (short === undefined ? [long] : [short, long]));
  const values = command.flags
    .filter(({ takesValue }) => takesValue)
    .flatMap(({ long, short }) => (short === undefined ? [long] : [short, long]));
  return `    '${command.path}')
      flags='${flags.join(' ')}'
      values='${values.join(' ')}'
      ${bashWords(command, kindWords)} ;;
`;
}

function bashWords(command: CommandWords, kindWords: readonly string[]): string {
  const { subcommands, argument } = command;
  if (subcommands.length > 0) return `words='${subcommands.map(({ name }) => name).join(' ')}'`;
  switch (argument) {
    case 'kind':
      return `if [ -n "$kind" ]; then words=$(_telos_names "$kind"); else words='${kindWords.join(' ')}'; fi`;
    case 'task':
      return `words=$(_telos_names tasks task/)`;
    case 'taskspawner':
      return `words=$(_telos_names taskspawners taskspawner/)`;
    case 'delivery':
      return `words=$(_telos_names deliveries)`;
    case 'shell':
      return `words='bash zsh fish'`;
    case undefined:
      return ':';
  }
}
