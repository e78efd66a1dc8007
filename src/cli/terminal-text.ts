import { escapeControls } from '../base/text.ts';

/** Text of several lines, safe for a terminal: only line ends and tabs stay control characters. */
export function terminalText(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .split(/[\r\n]/)
    .map((line) => line.split('\t').map(escapeControls).join('\t'))
    .join('\n');
}
