// SPDX-License-Identifier: AGPL-3.0-or-later
// One of the threads of prepare.ts.
import { parentPort } from 'node:worker_threads';
import { serviceNodeOptions } from '@allium/service-node/config';
import { prepareRegistration } from '@allium/service-node/registration';
import type { Preparation } from './prepare.ts';

parentPort?.on('message', ({ dataDir, deployment, operator, nowSeconds }: Preparation) => {
  const options = serviceNodeOptions({ dataDir, chainDeployment: deployment });
  parentPort?.postMessage(prepareRegistration(options, operator, nowSeconds).file);
});
