// SPDX-License-Identifier: AGPL-3.0-or-later
// The state of the page for the views below.
import { createContext, useContext } from 'react';
import type { App } from './app.ts';

const AppContext = createContext<App | undefined>(undefined);
export const AppProvider = AppContext.Provider;

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === undefined) throw new Error('no AppProvider above');
  return app;
}
