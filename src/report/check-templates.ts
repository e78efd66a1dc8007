import type { Fault } from '../api/fault.ts';
import { type FieldPath, formatFieldPath } from '../api/field-path.ts';
import type { Hook } from '../api/hook.ts';
import { TemplateError } from '../base/go-template/template.ts';
import { TemplateCache } from './formats/template.ts';

/** The body templates of hooks that are no templates: each such hook would fail when a Task has ended. */
export function hookTemplateFaults(hooks: readonly Hook[], root: FieldPath): readonly Fault[] {
  const templates = new TemplateCache();
  return hooks.flatMap(({ webhook }, index): Fault[] => {
    try {
      if (webhook.template !== undefined) templates.get(webhook.template);
      return [];
    } catch (thrown) {
      if (!(thrown instanceof TemplateError)) throw thrown;
      return [{ path: formatFieldPath([...root, index, 'webhook', 'template']), message: thrown.message }];
    }
  });
}
