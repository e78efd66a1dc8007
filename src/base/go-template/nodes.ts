import type { Position } from './errors.ts';

/** The syntax tree of a template: what is executed. */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipe: Pipe }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipe: Pipe;
      readonly body: Block;
      readonly otherwise: Block;
    }
  | {
      readonly kind: 'template';
      readonly name: string;
      readonly pipe: Pipe | undefined;
      readonly at: Position;
    }
  | { readonly kind: 'break' | 'continue'; readonly at: Position };

export type Block = readonly Node[];

/** `$a, $b := command | command`. */
export interface Pipe {
  readonly names: readonly string[];
  /** `=` rather than `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly Command[];
  readonly at: Position;
}

/** An operand and its arguments. */
export interface Command {
  readonly operands: readonly Operand[];
  readonly at: Position;
}

export type Operand = { readonly at: Position } & (
  | { readonly kind: 'dot' }
  | { readonly kind: 'nil' }
  | { readonly kind: 'literal'; readonly value: string | boolean | number | bigint }
  /** `.A.B` on dot. */
  | { readonly kind: 'field'; readonly path: readonly string[] }
  /** `$x.A.B`. */
  | { readonly kind: 'variable'; readonly name: string; readonly path: readonly string[] }
  /** `(pipeline).A.B` and the like. */
  | { readonly kind: 'chain'; readonly of: Operand; readonly path: readonly string[] }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'pipe'; readonly pipe: Pipe }
);
