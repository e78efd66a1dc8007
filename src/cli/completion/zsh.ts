import { bashCompletion } from './bash.ts';
import type { CommandWords } from './command-words.ts';

/** A completion script for zsh: the one of bash, which zsh can run. */
export function zshCompletion(commands: readonly CommandWords[], kindWords: readonly string[]): string {
  const bash = bashCompletion(commands, kindWords).split('\n').slice(1).join('\n');
  return `#compdef telos
# zsh completion for telos. Load it with: source <(telos completion zsh)
autoload -Uz compinit bashcompinit
(( \${+functions[compdef]} )) || compinit
(( \${+functions[complete]} )) || bashcompinit
${bash}`;
}
