// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { declarationsOf } from '../api.ts';

test('exported declarations are found with their comments, whole, and without what is private', () => {
  const text = `import type { A } from './a.ts';
/** Not exported. */
interface Hidden {
    a: string;
}
/**
 * What it is.
 * @throws ParseError
 */
export declare class Box {
    #private;
    /** The width. */
    readonly width: number;
    private constructor();
    grow(by: number): Box;
}
export type Word = 'a' | 'b';
/** One of many. */
export declare function read(text: string): Box | undefined;
export declare function read(text: string, options: {
    readonly strict: boolean;
}): Box;
export declare const TABLE: {
    readonly one: 1;
};
export { other } from './other.ts';
`;
  expect(declarationsOf(text)).toEqual([
    {
      kind: 'class',
      name: 'Box',
      doc: 'What it is.\n**throws:** ParseError',
      code: 'class Box {\n  /** The width. */\n  readonly width: number;\n  grow(by: number): Box;\n}',
    },
    { kind: 'type', name: 'Word', doc: '', code: "type Word = 'a' | 'b';" },
    {
      kind: 'function',
      name: 'read',
      doc: 'One of many.',
      code: 'function read(text: string): Box | undefined;',
    },
    {
      kind: 'function',
      name: 'read',
      doc: '',
      code: 'function read(text: string, options: {\n  readonly strict: boolean;\n}): Box;',
    },
    { kind: 'const', name: 'TABLE', doc: '', code: 'const TABLE: {\n  readonly one: 1;\n};' },
  ]);
});
