// SPDX-License-Identifier: AGPL-3.0-or-later

/** Waits for a condition that other parts of the process bring about. @throws when it does not come within `ms` */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  ms = 10_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited too long for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
