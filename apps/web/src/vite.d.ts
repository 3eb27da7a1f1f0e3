// SPDX-License-Identifier: AGPL-3.0-or-later
// What Vite makes of imports that are no TypeScript.
declare module '*.css' {}
declare module '*?worker&url' {
  const url: string;
  // biome-ignore lint/style/noDefaultExport: that is how Vite gives it
  export default url;
}
interface ImportMeta {
  readonly env: { readonly DEV: boolean };
}
