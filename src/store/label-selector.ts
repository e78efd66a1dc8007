import { StoreError } from './errors.ts';

/** One requirement on one label. `values` is empty for Exists and DoesNotExist. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** A parsed label selector: all requirements must hold. */
export type LabelSelector = readonly LabelRequirement[];

const keyText = '(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?';
const valueText = '(?:[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?';
const keyOnly = new RegExp(`^(!?)\\s*(${keyText})$`);
const equality = new RegExp(`^(${keyText})\\s*(==|=|!=)\\s*(${valueText})$`);
const membership = new RegExp(`^(${keyText})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const wholeValue = new RegExp(`^${valueText}$`);

/** Longest selector that is read; real ones are far shorter. */
const maxLength = 4096;

/**
 * Reads a Kubernetes label selector (`a=b,c!=d,e in (f,g),e notin (h),!i,j`). Empty or absent selects everything.
 * @throws StoreError `Invalid` naming the requirement that cannot be read.
 */
export function parseLabelSelector(text: string | undefined): LabelSelector {
  if (text === undefined || text.trim() === '') return [];
  if (text.length > maxLength) throw invalid(`${text.slice(0, 40)}…`, `longer than ${maxLength} characters`);
  // A comma inside parentheses separates values, not requirements.
  return text.split(/,(?![^()]*\))/).map((part) => parseRequirement(part.trim(), text));
}

function parseRequirement(part: string, text: string): LabelRequirement {
  const single = keyOnly.exec(part);
  if (single !== null) {
    return { key: single[2] ?? '', operator: single[1] === '!' ? 'DoesNotExist' : 'Exists', values: [] };
  }
  const equal = equality.exec(part);
  if (equal !== null) {
    return { key: equal[1] ?? '', operator: equal[2] === '!=' ? 'NotIn' : 'In', values: [equal[3] ?? ''] };
  }
  const member = membership.exec(part);
  if (member !== null) {
    const values = (member[3] ?? '').split(',').map((value) => value.trim());
    const bad = values.find((value) => !wholeValue.test(value));
    if (bad !== undefined) throw invalid(text, `"${bad}" is not a label value`);
    return { key: member[1] ?? '', operator: member[2] === 'in' ? 'In' : 'NotIn', values };
  }
  throw invalid(text, `cannot read "${part}"`);
}

function invalid(text: string, why: string): StoreError {
  return new StoreError(
    'Invalid',
    `label selector "${text}": ${why}; write it like a=b,c!=d,e in (f,g),h,!i`,
    { faults: [{ path: 'labelSelector', message: why }] },
  );
}

/** Whether labels satisfy a selector. As in Kubernetes, `!=` and `notin` also hold where the label is absent. */
export function matchesLabels(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>> | undefined,
): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return operator satisfies never;
    }
  });
}
