// SPDX-License-Identifier: MIT
// The part of the package that we use: its own types are not named in its `exports`.
declare module 'better-sqlite3-multiple-ciphers' {
  class SqliteError extends Error {
    /** Such as `SQLITE_BUSY`. */
    readonly code: string;
  }

  namespace Database {
    interface Statement<Parameters extends unknown[], Row> {
      run(...parameters: Parameters): { changes: number };
      get(...parameters: Parameters): Row | undefined;
      all(...parameters: Parameters): Row[];
      iterate(...parameters: Parameters): IterableIterator<Row>;
    }
    interface Database {
      readonly inTransaction: boolean;
      prepare(sql: string): Statement<unknown[], Record<string, unknown>>;
      exec(sql: string): this;
      pragma(text: string, options?: { simple?: boolean }): unknown;
      key(key: Buffer): number;
      /** An empty key decrypts. */
      rekey(key: Buffer): number;
      function(
        name: string,
        options: { deterministic?: boolean; directOnly?: boolean; varargs?: boolean },
        call: (...values: unknown[]) => unknown,
      ): this;
      close(): this;
    }
  }

  const Database: {
    new (path: string, options?: { timeout?: number; fileMustExist?: boolean }): Database.Database;
    readonly SqliteError: typeof SqliteError;
  };
  // biome-ignore lint/style/noDefaultExport: the package's face
  export default Database;
}
