import { Document, isScalar, Scalar, visit } from 'yaml';

/** What may drive a terminal although JSON and YAML allow it as it stands. */
const risky = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/u;
const riskyAll = new RegExp(risky, 'gu');

/** An object as indented JSON, control and format characters escaped. */
export function toJson(object: unknown): string {
  // Such characters stand inside strings only, where the escape means the same.
  return `${escapeRisky(JSON.stringify(object, undefined, 4))}\n`;
}

/** An object as YAML, control and format characters escaped. Means the same to kubectl, which reads YAML 1.1. */
export function toYaml(object: unknown): string {
  const document = new Document(object, { aliasDuplicateObjects: false, compat: 'yaml-1.1' });
  visit(document, {
    Scalar(_key, node) {
      if (isScalar(node) && typeof node.value === 'string' && risky.test(node.value)) {
        node.type = Scalar.QUOTE_DOUBLE;
      }
    },
  });
  return escapeRisky(document.toString({ lineWidth: 0 }));
}

function escapeRisky(text: string): string {
  return text.replace(riskyAll, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      const unit = character.charCodeAt(index).toString(16).padStart(4, '0');
      return `\\u${unit}`;
    }).join(''),
  );
}
